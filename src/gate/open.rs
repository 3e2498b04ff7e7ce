//! One worker's open streams: tunnels, answers that take their time, requests whose answer does. Outlives a reload, so
//! that each is judged by the gate in force: when what is known of people changes, at a reload, and when a session's
//! time is over. Small answers never come here; while nothing is open, no task runs.

use std::cell::Cell;
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::rc::Weak;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::sleep;

use super::Gate;
use super::again::Ask;
use super::again::Over;
use super::identify::Pass;
use super::shelf::Shelf;
use crate::clock::Timestamp;
use crate::proxy::Hold;
use crate::proxy::Order;
use crate::proxy::Tenths;

/// How often it is looked whether anything has changed.
const TENTH: Duration = Duration::from_millis(100);
/// So many are judged before others get their turn.
const AT_ONCE: usize = 64;
/// No moment: nothing open ends by itself.
const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);

/// Something of the connection that can be ended from outside. The caller wakes its task.
pub trait Cut {
    /// Breaks it off.
    fn cut(&self);
}

/// How to break an answer off whose visitor does not take it: then nobody asks its body for more.
#[derive(Clone)]
pub enum Line {
    /// HTTP/1: the connection is the answer's alone.
    Connection(Arc<dyn Cut>),
    /// HTTP/2: its stream.
    Stream(Rc<dyn Cut>),
}

impl Cut for Line {
    fn cut(&self) {
        match self {
            Self::Connection(connection) => connection.cut(),
            Self::Stream(stream) => stream.cut(),
        }
    }
}

/// All that is open on one worker. Clones are one register.
#[derive(Clone, Default)]
pub struct Register(Rc<Inner>);

struct Inner {
    /// The gate in force, and its number.
    gate: RefCell<Option<Arc<Gate>>>,
    number: Cell<u64>,
    /// By which gate and which generation of the standing everything open was judged.
    judged: Cell<(u64, u64)>,
    /// Somebody came in with an older judgement.
    behind: Cell<bool>,
    /// No session of anything open ends before.
    earliest: Cell<Timestamp>,
    counting: Cell<bool>,
    leaving: Cell<bool>,
    tenths: Tenths,
    seats: RefCell<Shelf<Seat>>,
    waiting: RefCell<Shelf<Waiter>>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            gate: RefCell::default(),
            number: Cell::new(0),
            judged: Cell::new((0, 0)),
            behind: Cell::new(false),
            earliest: Cell::new(NEVER),
            counting: Cell::new(false),
            leaving: Cell::new(false),
            tenths: Tenths::default(),
            seats: RefCell::default(),
            waiting: RefCell::default(),
        }
    }
}

/// An open stream, as it is judged.
struct Seat {
    ask: Box<Ask>,
    hold: Rc<Hold>,
    line: Option<Line>,
    kind: Kind,
    /// The gate's number.
    judged_by: u64,
}

/// What an open stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An answer; its own time-outs look after it.
    Answer,
    /// A tunnel, and how long it may stand still.
    Tunnel {
        /// As [`crate::policy::RouteLimits::idle_timeout`].
        idle: Duration,
        /// It can be told to connect anew.
        websocket: bool,
    },
}

/// A request whose answer has not begun. Judges itself when it is called.
struct Waiter {
    task: Waker,
    ends_at: Timestamp,
    called: bool,
}

/// A place in the register; given back when dropped.
pub struct Place {
    register: Register,
    number: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        // Dropped after the loan: a seat holds what is dropped with it.
        let seat = self.register.0.seats.borrow_mut().take(self.number);
        drop(seat);
    }
}

/// A request on its way to an answer. Comes into the register when it has to wait, and judges itself when called.
pub struct Waiting {
    register: Register,
    number: Option<usize>,
    judged_by: u64,
}

impl Waiting {
    /// `judged_by`: the number of the gate that let it pass.
    #[must_use]
    pub fn new(register: &Register, judged_by: u64) -> Self {
        Self { register: register.clone(), number: None, judged_by }
    }

    /// Polls what is waited for, until the request is not allowed any more.
    ///
    /// # Errors
    /// As `judge`, which is asked when something has changed.
    pub fn poll<F: Future>(
        &mut self,
        cx: &mut Context<'_>,
        answer: Pin<&mut F>,
        pass: Option<&Rc<Pass>>,
        judge: impl FnOnce(&Gate) -> Result<Option<Rc<Pass>>, Over>,
    ) -> Poll<Result<F::Output, Over>> {
        if self.is_called()
            && let Some(gate) = self.register.gate()
        {
            match judge(&gate) {
                Ok(pass) => self.ends_at(pass.map_or(NEVER, |pass| pass.ends_at())),
                Err(over) => return Poll::Ready(Err(over)),
            }
        }
        let polled = answer.poll(cx);
        if polled.is_pending() {
            self.stay(cx, pass);
        }
        polled.map(Ok)
    }

    fn is_called(&self) -> bool {
        self.number.is_some_and(|number| {
            self.register
                .0
                .waiting
                .borrow_mut()
                .get_mut(number)
                .is_some_and(|w| std::mem::take(&mut w.called))
        })
    }

    /// The person's end may have moved.
    fn ends_at(&self, moment: Timestamp) {
        let inner = &self.register.0;
        inner.earliest.set(inner.earliest.get().min(moment));
        let Some(number) = self.number else { return };
        if let Some(waiter) = inner.waiting.borrow_mut().get_mut(number) {
            waiter.ends_at = moment;
        }
    }

    fn stay(&mut self, cx: &Context<'_>, pass: Option<&Rc<Pass>>) {
        if let Some(number) = self.number {
            if let Some(waiter) = self.register.0.waiting.borrow_mut().get_mut(number)
                && !waiter.task.will_wake(cx.waker())
            {
                waiter.task.clone_from(cx.waker());
            }
            return;
        }
        self.register.note(self.judged_by, pass.map(|pass| &**pass));
        let ends_at = pass.map_or(NEVER, |pass| pass.ends_at());
        let waiter = Waiter { task: cx.waker().clone(), ends_at, called: false };
        self.number = Some(self.register.0.waiting.borrow_mut().put(waiter));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waiter = self.register.0.waiting.borrow_mut().take(number);
            drop(waiter);
        }
    }
}

impl Register {
    /// From now on this gate judges. Returns its number.
    pub fn obey(&self, gate: &Arc<Gate>) -> u64 {
        let inner = &self.0;
        *inner.gate.borrow_mut() = Some(Arc::clone(gate));
        inner.number.set(inner.number.get() + 1);
        inner.number.get()
    }

    /// The gate in force.
    #[must_use]
    pub fn gate(&self) -> Option<Arc<Gate>> {
        self.0.gate.borrow().clone()
    }

    /// The clock by which tunnels say when they moved.
    #[must_use]
    pub fn tenths(&self) -> Tenths {
        self.0.tenths.clone()
    }

    /// Takes a stream in. `judged_by`: the number of the gate that let it pass.
    pub fn enter(&self, ask: Box<Ask>, judged_by: u64, line: Option<Line>, kind: Kind) -> (Place, Rc<Hold>) {
        let hold = Rc::new(Hold::default());
        hold.moves(self.0.tenths.now());
        if self.0.leaving.get() && matches!(kind, Kind::Tunnel { websocket: true, .. }) {
            hold.give(Order::Leaving);
        }
        self.note(judged_by, ask.pass.as_deref());
        let seat = Seat { ask, hold: Rc::clone(&hold), line, kind, judged_by };
        let number = self.0.seats.borrow_mut().put(seat);
        (Place { register: self.clone(), number }, hold)
    }

    /// We are stopping: WebSockets are told to go elsewhere, the rest may finish.
    pub fn leave(&self) {
        self.0.leaving.set(true);
        for seat in self.0.seats.borrow().iter() {
            if matches!(seat.kind, Kind::Tunnel { websocket: true, .. }) {
                seat.hold.give(Order::Leaving);
            }
        }
    }

    /// Notes how a newcomer was judged, and begins to count where nothing was open.
    fn note(&self, judged_by: u64, pass: Option<&Pass>) {
        let inner = &self.0;
        if !inner.counting.replace(true) {
            inner.judged.set(self.now().unwrap_or_default());
            inner.earliest.set(NEVER);
            tokio::task::spawn_local(count(Rc::downgrade(inner)));
        }
        let (gate, generation) = inner.judged.get();
        if judged_by != gate || pass.is_some_and(|pass| pass.generation() != generation) {
            inner.behind.set(true);
        }
        if let Some(pass) = pass {
            inner.earliest.set(inner.earliest.get().min(pass.ends_at()));
        }
    }

    /// The gate's number and the standing's generation.
    fn now(&self) -> Option<(u64, u64)> {
        let gate = self.0.gate.borrow();
        Some((self.0.number.get(), gate.as_ref()?.parts.standing.generation()))
    }

    fn is_empty(&self) -> bool {
        self.0.seats.borrow().is_empty() && self.0.waiting.borrow().is_empty()
    }

    async fn look(&self) {
        let Some((gate, now)) = self.gate().zip(self.now()) else { return };
        let time = gate.parts.clock.now();
        // Read before judging: what changes meanwhile is judged the next time.
        let changed = self.0.behind.replace(false) | (self.0.judged.replace(now) != now);
        let stale = !gate.fresh(time);
        if changed || stale || time >= self.0.earliest.get() {
            self.0.earliest.set(NEVER);
            self.call(|waiter| changed || stale || waiter.ends_at <= time);
            self.judge(&gate, now).await;
        }
    }

    /// Lets those who wait for an answer judge themselves.
    fn call(&self, whom: impl Fn(&Waiter) -> bool) {
        for waiter in self.0.waiting.borrow_mut().iter_mut() {
            if whom(waiter) {
                waiter.called = true;
                waiter.task.wake_by_ref();
            } else {
                self.0.earliest.set(self.0.earliest.get().min(waiter.ends_at));
            }
        }
    }

    async fn judge(&self, gate: &Arc<Gate>, now: (u64, u64)) {
        let (mut from, mut ended) = (0, 0_usize);
        loop {
            let end = {
                let mut seats = self.0.seats.borrow_mut();
                for number in from..from + AT_ONCE {
                    if let Some(seat) = seats.get_mut(number) {
                        ended += usize::from(!seat.judge(gate, now));
                        let ends_at = seat.ask.pass.as_ref().map_or(NEVER, |pass| pass.ends_at());
                        self.0.earliest.set(self.0.earliest.get().min(ends_at));
                    }
                }
                seats.end()
            };
            from += AT_ONCE;
            if from >= end {
                break;
            }
            tokio::task::yield_now().await;
        }
        if ended > 0 {
            tracing::info!(streams = ended, "open streams ended with the right to them");
        }
    }

    fn end_idle(&self) {
        let now = self.0.tenths.now();
        for seat in self.0.seats.borrow().iter() {
            if let Kind::Tunnel { idle, .. } = seat.kind
                && u128::from(now.saturating_sub(seat.hold.moved())) * TENTH.as_millis() > idle.as_millis()
            {
                seat.hold.give(Order::Idle);
            }
        }
    }
}

impl Seat {
    /// Whether it may stay open; told to end once only.
    fn judge(&mut self, gate: &Gate, (number, generation): (u64, u64)) -> bool {
        if self.hold.order() == Some(Order::Forbidden) {
            return true;
        }
        let now = gate.parts.clock.now();
        let holds =
            |pass: &Rc<Pass>| pass.generation() == generation && now < pass.ends_at() && gate.fresh(now);
        if self.judged_by == number && self.ask.pass.as_ref().is_none_or(holds) {
            return true;
        }
        match gate.judge_again(self.ask.asked()) {
            Ok(pass) => {
                (self.ask.pass, self.judged_by) = (pass, number);
                true
            }
            Err(Over::Refused(_) | Over::Stale) => {
                if let Some(line) = &self.line {
                    line.cut();
                }
                self.hold.give(Order::Forbidden);
                false
            }
        }
    }
}

/// Counts and looks for as long as anything is open.
async fn count(register: Weak<Inner>) {
    let mut begun: Option<(Instant, u32)> = None;
    loop {
        sleep(TENTH).await;
        let Some(register) = register.upgrade().map(Register) else { return };
        if register.is_empty() {
            register.0.counting.set(false);
            return;
        }
        let (start, offset) = *begun.get_or_insert_with(|| (Instant::now(), register.0.tenths.now()));
        let passed = u32::try_from(start.elapsed().as_millis() / TENTH.as_millis()).unwrap_or(u32::MAX);
        let now = offset.saturating_add(passed);
        let second = now / 10 != register.0.tenths.now() / 10;
        register.0.tenths.set(now);
        register.look().await;
        if second {
            register.end_idle();
        }
    }
}
