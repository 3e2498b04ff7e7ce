//! The endpoints of an upstream as one worker sees them, and the choice among them: of two taken at random the one with
//! fewer requests under way. Opens nothing.

use std::cell::Cell;
use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::connect::Line;
use super::connectors::Connector;
use super::crowd::Crowd;
use super::crowd::Queue;
use super::health::Record;
use super::pool::Shelf;
use super::pool::Sweeper;
use super::reach::Lanes;
use super::upstream::Live;

/// The share of an endpoint that has just come back, in a hundred: without any it would never be seen to work.
const LEAST_SHARE: u64 = 5;

/// One endpoint, as one worker sees it.
pub(super) struct Backend {
    pub(super) line: Arc<Line>,
    pub(super) shelf: Shelf,
    pub(super) lanes: Lanes,
    pub(super) record: Record,
    sweeper: Rc<Sweeper>,
    crowd: Rc<Crowd>,
    /// Requests and tunnels under way.
    busy: Cell<u32>,
}

impl Backend {
    /// An idle connection.
    pub(super) fn take(&self) -> Option<Box<Live>> {
        self.shelf.take()
    }

    /// Takes a connection back.
    pub(super) fn put(self: &Rc<Self>, live: Box<Live>) {
        self.sweeper.put(self, live);
    }

    /// Has idle connections closed in time.
    pub(super) fn look_after(self: &Rc<Self>) {
        self.sweeper.list(self);
    }

    /// Whether it is to get requests while there are others.
    fn is_good(&self) -> bool {
        !self.line.vitals.is_down() && !self.record.is_resting()
    }

    /// Of a hundred requests that it would get, how many it is to get now: few at first after it came back.
    fn share(&self, slow_start: Duration) -> u64 {
        let back = self.line.vitals.back().max(self.record.back());
        let Some(since) = back.map(|back| back.elapsed()).filter(|since| *since < slow_start) else {
            return 100;
        };
        let part = since.as_millis().saturating_mul(100).checked_div(slow_start.as_millis()).unwrap_or(100);
        u64::try_from(part).unwrap_or(100).max(LEAST_SHARE)
    }
}

/// Counts one request or tunnel of an endpoint for as long as it lives.
pub(super) struct Busy(Rc<Backend>);

impl Busy {
    pub(super) fn new(backend: Rc<Backend>) -> Self {
        backend.busy.set(backend.busy.get().saturating_add(1));
        backend.crowd.enter();
        Self(backend)
    }

    pub(super) const fn backend(&self) -> &Rc<Backend> {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get().saturating_sub(1));
        self.0.crowd.leave();
    }
}

/// The endpoints of one upstream.
pub(super) struct Group {
    pub(super) backends: Vec<Rc<Backend>>,
    /// How long an endpoint that came back gets less than its share.
    slow_start: Duration,
    /// How long a request waits while every endpoint refuses connections.
    pub(super) wait: Duration,
    /// Those who do.
    pub(super) queue: Queue,
}

impl Group {
    pub(super) fn new(connector: &Connector, sweeper: &Rc<Sweeper>, crowd: &Rc<Crowd>) -> Self {
        let backend = |line: &Arc<Line>| {
            Rc::new(Backend {
                line: Arc::clone(line),
                shelf: Shelf::default(),
                lanes: Lanes::default(),
                record: Record::default(),
                sweeper: Rc::clone(sweeper),
                crowd: Rc::clone(crowd),
                busy: Cell::new(0),
            })
        };
        Self {
            backends: connector.lines.iter().map(backend).collect(),
            slow_start: connector.upstream.slow_start,
            wait: connector.upstream.wait,
            queue: Queue::default(),
        }
    }

    /// The endpoint for the next request, of those not in `tried`: a good one, where none is, any.
    pub(super) fn choose(&self, tried: &[Rc<Backend>], dice: &Dice) -> Option<&Rc<Backend>> {
        if let [only] = self.backends.as_slice() {
            return tried.is_empty().then_some(only);
        }
        let left = || {
            let untried = |backend: &&Rc<Backend>| !tried.iter().any(|other| Rc::ptr_eq(other, backend));
            self.backends.iter().filter(untried)
        };
        let good = || left().filter(|backend| backend.is_good());
        let lucky = |backend: &&Rc<Backend>| match backend.share(self.slow_start) {
            100 => true,
            share => dice.below(100) < share,
        };
        let chosen = less_busy(good().filter(lucky), dice)
            .or_else(|| less_busy(good(), dice))
            .or_else(|| less_busy(left(), dice))?;
        chosen.record.is_tried();
        Some(chosen)
    }
}

/// Of two taken at random, the one with fewer requests under way.
fn less_busy<'a>(backends: impl Iterator<Item = &'a Rc<Backend>>, dice: &Dice) -> Option<&'a Rc<Backend>> {
    let (mut first, mut second) = (None, None);
    // Each pair is as likely as any other.
    for (seen, backend) in (0_u64..).zip(backends) {
        match seen {
            0 => first = Some(backend),
            1 => second = Some(backend),
            _ => match dice.below(seen + 1) {
                0 => first = Some(backend),
                1 => second = Some(backend),
                _ => {}
            },
        }
    }
    let (Some(one), Some(other)) = (first, second) else { return first };
    Some(match one.busy.get().cmp(&other.busy.get()) {
        Ordering::Less => one,
        Ordering::Equal if dice.below(2) == 0 => one,
        Ordering::Greater | Ordering::Equal => other,
    })
}

/// Chance that nobody's safety hangs on: xorshift64*, one a worker.
pub(super) struct Dice(Cell<u64>);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        // Zero would stay zero for ever.
        Self(Cell::new(if seed == 0 { 1 } else { seed }))
    }

    /// A number below `end`, which is small.
    pub(super) fn below(&self, end: u64) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        (x.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).checked_rem(end).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Upstream;
    use crate::proxy::connectors::Connectors;

    fn group(endpoints: u16, slow_start: Duration) -> Group {
        let endpoint = |port: u16| Upstream::http("127.0.0.1", port).endpoints.remove(0);
        let mut upstream = Upstream::new((1..=endpoints).map(endpoint).collect());
        upstream.slow_start = slow_start;
        let connectors = Connectors::of([&Arc::new(upstream)].into_iter()).unwrap();
        Group::new(&connectors.all()[0], &Sweeper::new(Duration::ZERO, 0), &Crowd::new(100))
    }

    /// How often each is chosen.
    fn chosen(group: &Group, dice: &Dice, times: u32) -> Vec<u32> {
        let mut counts = vec![0; group.backends.len()];
        for _ in 0..times {
            let backend = group.choose(&[], dice).unwrap();
            counts[group.backends.iter().position(|other| Rc::ptr_eq(other, backend)).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn idle_endpoints_get_equal_shares() {
        for endpoints in [2_u16, 3, 7] {
            let group = group(endpoints, Duration::ZERO);
            let times = 3000 * u32::from(endpoints);
            for count in chosen(&group, &Dice::new(7), times) {
                assert!((2700..3300).contains(&count), "{count} of {times} among {endpoints}");
            }
        }
    }

    #[test]
    fn the_busier_of_two_waits_until_both_are_as_busy() {
        let group = group(2, Duration::ZERO);
        let dice = Dice::new(7);
        let held: Vec<Busy> = (0..5).map(|_| Busy::new(Rc::clone(&group.backends[0]))).collect();
        assert_eq!(chosen(&group, &dice, 100), [0, 100]);
        drop(held);
        assert!(chosen(&group, &dice, 100).iter().all(|count| *count > 0));
    }

    #[test]
    fn the_busiest_of_many_gets_nothing_and_the_others_share() {
        let group = group(4, Duration::ZERO);
        let _held = Busy::new(Rc::clone(&group.backends[2]));
        let counts = chosen(&group, &Dice::new(7), 3000);
        assert_eq!(counts[2], 0);
        assert!(counts.iter().filter(|count| **count > 700).count() == 3, "{counts:?}");
    }

    #[test]
    fn one_that_rests_gets_nothing_while_another_is_good_and_its_chance_when_none_is() {
        let group = group(2, Duration::ZERO);
        let dice = Dice::new(7);
        group.backends[0].record.unreachable();
        assert_eq!(chosen(&group, &dice, 100), [0, 100]);
        let tried = [Rc::clone(&group.backends[1])];
        assert!(Rc::ptr_eq(group.choose(&tried, &dice).unwrap(), &group.backends[0]));
        assert!(group.choose(&group.backends, &dice).is_none(), "each is tried once");
        group.backends[1].record.unreachable();
        assert!(chosen(&group, &dice, 100).iter().all(|count| *count > 0));
    }

    #[test]
    fn an_only_endpoint_is_always_tried() {
        let group = group(1, Duration::ZERO);
        group.backends[0].record.unreachable();
        assert_eq!(chosen(&group, &Dice::new(7), 3), [3]);
    }

    #[test]
    fn one_that_came_back_gets_little_at_first() {
        let group = group(2, Duration::from_hours(1));
        group.backends[0].record.unreachable();
        group.backends[0].record.answered();
        let counts = chosen(&group, &Dice::new(7), 2000);
        assert!((20..200).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn dice_fall_on_every_side_and_a_seed_of_zero_is_none() {
        let dice = Dice::new(0);
        let mut seen = [0_u32; 6];
        for _ in 0..6000 {
            seen[usize::try_from(dice.below(6)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
        assert_eq!(dice.below(0), 0);
    }
}
