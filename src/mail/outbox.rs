//! Takes letters from the store's outbox and sees them out: eight at a time, again with growing pauses, until they are
//! taken, refused for good, or their link has expired. Never holds a letter longer than a minute without telling the
//! store, so that `kill -9` delays a letter and loses none.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::letter::open;
use super::mailer::{Mailer, SendError};
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::identity::Keyring;
use crate::random::Random;
use crate::store::LeasedLetter;
use crate::store::Store;
use crate::store::StoreError;

/// How many letters are on their way at once.
const AT_ONCE: usize = 8;
/// How long a letter is ours: longer than `Mailer::send` can take, short enough to matter little after a crash.
const LEASE: Duration = Duration::from_mins(1);
/// How often to look without being called: letters that another process put there call nobody.
const LOOK: Duration = Duration::from_secs(5);
/// After this much quiet, connections are closed.
const QUIET: Duration = Duration::from_secs(15);
/// For letters on their way when we are told to stop.
const FAREWELL: Duration = Duration::from_secs(10);
/// A letter whose link never expires is given up after this.
const GIVE_UP: Duration = Duration::from_hours(72);
/// How often a failure is told to a store that is away before the lease is left to run out.
const TELLINGS: u32 = 5;

/// The mailers of all sites, exchanged at a reload. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Mailers(Arc<RwLock<HashMap<String, Arc<Mailer>>>>);

impl Mailers {
    /// By site name.
    #[must_use]
    pub fn new(mailers: HashMap<String, Mailer>) -> Self {
        let these = Self::default();
        these.replace(mailers);
        these
    }

    /// Takes these instead; letters on their way finish with the old ones.
    pub fn replace(&self, mailers: HashMap<String, Mailer>) {
        let mailers = mailers.into_iter().map(|(site, mailer)| (site, Arc::new(mailer))).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = mailers;
    }

    /// The mailer of a site.
    #[must_use]
    pub fn of(&self, site: &str) -> Option<Arc<Mailer>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(site).cloned()
    }

    async fn rest(&self) {
        let all: Vec<_> = self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for mailer in all {
            mailer.rest().await;
        }
    }
}

/// The worker that empties the outbox. One a process; several processes share one outbox by leases.
pub struct Outbox {
    work: Arc<Work>,
    holder: String,
    farewell: Duration,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("holder", &self.holder).finish_non_exhaustive()
    }
}

struct Work {
    store: Store,
    keys: Arc<Keyring>,
    mailers: Mailers,
    clock: Clock,
    holder: String,
}

impl Outbox {
    /// `keys` opens the letters, `mailers` sends them.
    #[must_use]
    pub fn new(store: Store, keys: Arc<Keyring>, mailers: Mailers, clock: Clock, random: &Random) -> Self {
        let holder = random.uuid();
        Self {
            work: Arc::new(Work { store, keys, mailers, clock, holder: holder.clone() }),
            holder,
            farewell: FAREWELL,
        }
    }

    /// Works until `shutdown` turns true or its sender is gone; then finishes or gives back what is on its way.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let bell = self.work.store.letters_waiting();
        let mut under_way = UnderWay::default();
        let mut quiet_for = Duration::ZERO;
        while !*shutdown.borrow_and_update() {
            // Listening begins before looking, so that no ring falls between the two.
            let ring = bell.notified();
            tokio::pin!(ring);
            ring.as_mut().enable();
            let pause = self.lease(&mut under_way).await;
            if under_way.is_empty() {
                if quiet_for >= QUIET {
                    self.work.mailers.rest().await;
                    quiet_for = Duration::ZERO;
                }
                quiet_for += pause;
            } else {
                quiet_for = Duration::ZERO;
            }
            let room = under_way.len() < AT_ONCE;
            tokio::select! {
                changed = shutdown.changed() => if changed.is_err() { break },
                () = under_way.next(), if !under_way.is_empty() => {}
                () = &mut ring, if room => {}
                () = sleep(pause), if room => {}
            }
        }
        self.stop(under_way).await;
    }

    /// Fills the free places; says how long to wait when nothing rings.
    async fn lease(&self, under_way: &mut UnderWay) -> Duration {
        let free = u32::try_from(AT_ONCE.saturating_sub(under_way.len())).unwrap_or(0);
        if free == 0 {
            return LOOK;
        }
        match self.work.store.lease_letters(free, LEASE, &self.holder).await {
            Ok(letters) => {
                for letter in letters {
                    under_way.start(&self.work, letter);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read; trying again");
                return Duration::from_secs(1);
            }
        }
        match self.work.store.next_letter_at().await {
            // Never zero: what is due now and was not leased is waiting for a free place or held by another.
            Ok(Some(at)) => at.since(self.work.clock.now()).clamp(Duration::from_millis(50), LOOK),
            Ok(None) | Err(_) => LOOK,
        }
    }

    async fn stop(&self, mut under_way: UnderWay) {
        let finish = async {
            while !under_way.is_empty() {
                under_way.next().await;
            }
        };
        if timeout(self.farewell, finish).await.is_err() {
            let ids = under_way.abandon().await;
            for id in ids {
                let now = Some(self.work.clock.now());
                self.work.failed(&id, "linkgate was stopped while the letter was on its way", now).await;
            }
        }
        self.work.mailers.rest().await;
    }
}

/// Letters being sent, by task.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    ids: HashMap<tokio::task::Id, String>,
}

impl UnderWay {
    fn start(&mut self, work: &Arc<Work>, letter: LeasedLetter) {
        let (work, id) = (Arc::clone(work), letter.id.clone());
        let task = self.tasks.spawn(async move { work.see_out(letter).await });
        self.ids.insert(task.id(), id);
    }

    fn len(&self) -> usize {
        self.tasks.len()
    }

    fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Waits until one is done. A panic costs one attempt: the lease runs out.
    async fn next(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((task, ()))) => drop(self.ids.remove(&task)),
            Some(Err(error)) => {
                if let Some(letter) = self.ids.remove(&error.id()) {
                    tracing::error!(letter, "sending a letter panicked; it is tried again");
                }
            }
            None => {}
        }
    }

    /// Stops all that still run, and names their letters.
    async fn abandon(mut self) -> Vec<String> {
        self.tasks.abort_all();
        let mut abandoned = Vec::new();
        while let Some(ended) = self.tasks.join_next_with_id().await {
            if let Err(error) = ended {
                abandoned.extend(self.ids.remove(&error.id()));
            }
        }
        abandoned
    }
}

impl Work {
    async fn see_out(&self, leased: LeasedLetter) {
        let now = self.clock.now();
        let LeasedLetter { id, site, sealed, expires_at, .. } = &leased;
        if expires_at.is_some_and(|end| end <= now) {
            return self.failed(id, "the link expired before the letter could be sent", None).await;
        }
        let Some(letter) = open(sealed, site, &self.keys.current()) else {
            let words = "the letter cannot be opened: it was sealed with another master secret; name that one in \
                         previous_secret_files, or drop the letter";
            return self.failed(id, words, None).await;
        };
        let Some(mailer) = self.mailers.of(site) else {
            let words = "no site of this name is configured any more";
            return self.failed(id, words, again(&leased, now)).await;
        };
        match mailer.send(&letter).await {
            Ok(receipt) => {
                if let Some(first) = &receipt.first {
                    tracing::warn!(
                        letter = id,
                        site,
                        error = first,
                        "the first relay failed; the fallback took the letter"
                    );
                }
                tracing::info!(letter = id, site, way = receipt.way, "letter sent");
                self.sent(id).await;
            }
            Err(SendError::Permanent(words)) => self.failed(id, &words, None).await,
            Err(SendError::Temporary(words)) => {
                self.failed(id, &words, again(&leased, self.clock.now())).await;
            }
        }
    }

    async fn sent(&self, id: &str) {
        // Until it is told, however long: when the lease runs out somebody else would send it again.
        for telling in 1.. {
            match self.store.letter_sent(id, &self.holder).await {
                Ok(()) => return,
                Err(error) => self.untold(id, &error, telling).await,
            }
        }
    }

    async fn failed(&self, id: &str, words: &str, retry_at: Option<Timestamp>) {
        if retry_at.is_some() {
            tracing::warn!(letter = id, error = words, "letter not sent; it is tried again");
        } else {
            tracing::error!(letter = id, error = words, "letter given up");
        }
        for telling in 1..=TELLINGS {
            match self.store.letter_failed(id, &self.holder, words, retry_at).await {
                Ok(()) => return,
                Err(error) => self.untold(id, &error, telling).await,
            }
        }
    }

    async fn untold(&self, id: &str, error: &StoreError, telling: u32) {
        if telling <= TELLINGS {
            tracing::warn!(letter = id, %error, telling, "the store did not take what became of a letter");
        }
        sleep(Duration::from_millis(200) * telling.min(TELLINGS)).await;
    }
}

/// When to try again; `None` when that would be too late to be of use.
fn again(letter: &LeasedLetter, now: Timestamp) -> Option<Timestamp> {
    let end = letter.expires_at.unwrap_or(letter.created_at + GIVE_UP);
    let at = now + pause(letter.attempts);
    (at < end).then_some(at)
}

/// After the first attempt ten seconds, then a minute, five, fifteen, and an hour for ever.
const fn pause(attempts: u32) -> Duration {
    Duration::from_secs(match attempts {
        0 | 1 => 10,
        2 => 60,
        3 => 5 * 60,
        4 => 15 * 60,
        5.. => 3600,
    })
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::super::{Memory, Settings, Transport, seal};
    use super::*;
    use crate::identity::KeyEpoch;
    use crate::identity::MasterSecret;
    use crate::store::LetterRecord;
    use crate::store::LetterState;
    use crate::store::MadeBy;
    use crate::store::NewLetter;
    use crate::store::NewLink;

    const START: Timestamp = Timestamp::from_seconds(1_790_000_000);
    const MINUTE: Duration = Duration::from_mins(1);

    struct House {
        home: tempfile::TempDir,
        store: Store,
        keys: Arc<Keyring>,
        clock: Clock,
        random: Random,
        memory: Memory,
        mailers: Mailers,
        stop: watch::Sender<bool>,
    }

    impl House {
        fn new(transport: Transport, fallback: Option<Transport>) -> Self {
            let (clock, random) = (Clock::manual(START), Random::seeded(7));
            let home = tempfile::tempdir().unwrap();
            let settings = crate::store::Settings::Sqlite { path: home.path().join("linkgate.sqlite") };
            let epoch = KeyEpoch { id: "0a0b0c0d".into(), created_at: START, accepted_until: None };
            let house = Self {
                store: Store::open(&settings, &clock, &random).unwrap(),
                keys: Arc::new(Keyring::new(vec![MasterSecret::generate(&random)], &[epoch]).unwrap()),
                memory: Memory::new(),
                mailers: Mailers::default(),
                stop: watch::Sender::new(false),
                home,
                clock,
                random,
            };
            house.use_mailer(transport, fallback);
            house
        }

        fn use_mailer(&self, transport: Transport, fallback: Option<Transport>) {
            let from = "Wiki <login@example.com>".to_owned();
            let settings = Settings { from, reply_to: None, transport, fallback };
            let mailer = Mailer::with_memory(&settings, &self.memory).unwrap();
            self.mailers.replace([("wiki".to_owned(), mailer)].into());
        }

        async fn put(&self, keys: &Keyring, expires_at: Option<Timestamp>) {
            let letter = letter();
            let link = NewLink {
                id: self.random.uuid(),
                token_hash: self.random.bytes(),
                site: letter.site.clone(),
                email: letter.to.clone(),
                nonce_hash: None,
                code_tag: None,
                code_seed: None,
                return_to: String::new(),
                expires_at,
                uses: Some(1),
                made_by: MadeBy::Administrator,
                note: String::new(),
            };
            let sealed = seal(&letter, &keys.current()).unwrap();
            let id = self.random.uuid();
            let new = NewLetter { id, site: letter.site, email: letter.to, sealed, expires_at };
            self.store.put_link(link, Some(new)).await.unwrap();
        }

        fn start(&self) -> tokio::task::JoinHandle<()> {
            let (store, keys) = (self.store.clone(), Arc::clone(&self.keys));
            let outbox = Outbox::new(store, keys, self.mailers.clone(), self.clock.clone(), &self.random);
            tokio::spawn(outbox.run(self.stop.subscribe()))
        }

        /// Polls the store, which has no event for this, until every letter is as wanted.
        async fn all(&self, wanted: impl Fn(&LetterRecord) -> bool) -> Vec<LetterRecord> {
            let look = async {
                loop {
                    let letters = self.store.list_letters().await.unwrap();
                    if letters.iter().all(&wanted) {
                        return letters;
                    }
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(20), look).await.expect("the letters become as wanted")
        }

        /// Moves the clock and wakes the worker, as the passing of time would.
        fn later(&self, span: Duration) {
            self.clock.advance(span);
            self.store.letters_waiting().notify_one();
        }
    }

    fn nowhere() -> Transport {
        Transport::Sendmail { program: "/nonexistent/sendmail".into() }
    }

    #[tokio::test]
    async fn two_hundred_letters_leave_and_the_worker_stops_when_told() {
        let house = House::new(Transport::Memory, None);
        for _ in 0..100 {
            house.put(&house.keys, Some(START + 10 * MINUTE)).await;
        }
        let worker = house.start();
        for _ in 0..100 {
            house.put(&house.keys, Some(START + 10 * MINUTE)).await;
        }
        house.memory.arrivals().wait_for(|count| *count == 200).await.unwrap();
        house.all(|l| l.state == LetterState::Sent).await;
        house.stop.send_replace(true);
        worker.await.unwrap();
        assert_eq!(house.memory.letters().first(), Some(&letter()));
        assert!(house.home.path().exists());
    }

    #[tokio::test]
    async fn a_letter_that_fails_is_tried_again_later_and_arrives_once() {
        let house = House::new(nowhere(), None);
        house.put(&house.keys, Some(START + 10 * MINUTE)).await;
        let worker = house.start();
        let failed = house.all(|l| l.state == LetterState::Waiting && !l.error.is_empty()).await;
        assert_eq!(failed[0].next_at, Some(START + Duration::from_secs(10)));
        assert!(failed[0].error.contains("/nonexistent/sendmail"));
        house.use_mailer(Transport::Memory, None);
        house.later(Duration::from_secs(10));
        house.all(|l| l.state == LetterState::Sent).await;
        assert_eq!(house.memory.letters().len(), 1);
        house.stop.send_replace(true);
        worker.await.unwrap();
    }

    #[tokio::test]
    async fn the_second_way_helps_at_once() {
        let house = House::new(nowhere(), Some(Transport::Memory));
        house.put(&house.keys, None).await;
        let worker = house.start();
        let sent = house.all(|l| l.state == LetterState::Sent).await;
        assert_eq!((sent[0].attempts, house.memory.letters().len()), (1, 1));
        drop(house.stop);
        worker.await.unwrap();
    }

    #[tokio::test]
    async fn a_letter_is_given_up_when_the_next_try_would_come_after_its_link_ended() {
        let house = House::new(nowhere(), None);
        house.put(&house.keys, Some(START + Duration::from_secs(5))).await;
        let _worker = house.start();
        let dead = house.all(|l| l.state == LetterState::Dead).await;
        assert!(dead[0].error.contains("/nonexistent/sendmail"), "{dead:?}");
    }

    #[tokio::test]
    async fn what_is_on_its_way_too_long_is_given_back_at_the_end() {
        use std::os::unix::fs::PermissionsExt as _;
        let house = House::new(nowhere(), None);
        let program = house.home.path().join("slow");
        std::fs::write(&program, "#!/bin/sh\nexec sleep 1000\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        house.use_mailer(Transport::Sendmail { program }, None);
        house.put(&house.keys, None).await;
        let mailers = house.mailers.clone();
        let (store, keys) = (house.store.clone(), Arc::clone(&house.keys));
        let mut outbox = Outbox::new(store, keys, mailers, house.clock.clone(), &house.random);
        outbox.farewell = Duration::ZERO;
        let worker = tokio::spawn(outbox.run(house.stop.subscribe()));
        house.all(|l| l.state == LetterState::Leased).await;
        house.stop.send_replace(true);
        worker.await.unwrap();
        let letters = house.store.list_letters().await.unwrap();
        assert_eq!((letters[0].state, letters[0].next_at), (LetterState::Waiting, Some(START)));
        assert!(letters[0].error.contains("stopped"));
    }

    #[tokio::test]
    async fn an_expired_letter_is_never_sent() {
        let house = House::new(Transport::Memory, None);
        house.put(&house.keys, Some(START + MINUTE)).await;
        house.clock.advance(MINUTE);
        let _worker = house.start();
        house.all(|l| l.state == LetterState::Dead).await;
        assert!(house.memory.letters().is_empty());
    }

    #[tokio::test]
    async fn a_letter_sealed_by_a_stranger_is_dead_and_says_why() {
        let house = House::new(Transport::Memory, None);
        let epoch = KeyEpoch { id: "0a0b0c0d".into(), created_at: START, accepted_until: None };
        let stranger = Keyring::new(vec![MasterSecret::generate(&Random::seeded(99))], &[epoch]).unwrap();
        house.put(&stranger, None).await;
        let _worker = house.start();
        let dead = house.all(|l| l.state == LetterState::Dead).await;
        assert!(dead[0].error.contains("previous_secret_files"), "{dead:?}");
    }

    #[test]
    fn a_sealed_letter_opens_for_its_own_site_only() {
        let house = House::new(Transport::Memory, None);
        let keys = house.keys.current();
        let sealed = seal(&letter(), &keys).unwrap();
        assert!(!String::from_utf8_lossy(&sealed).contains("token"));
        assert_eq!(open(&sealed, "wiki", &keys), Some(letter()));
        assert_eq!(open(&sealed, "other", &keys), None);
        assert_eq!(open(&sealed[1..], "wiki", &keys), None);
    }

    #[test]
    fn pauses_grow_and_end_with_the_link() {
        let leased = |attempts, expires_at| LeasedLetter {
            id: String::new(),
            site: String::new(),
            sealed: Vec::new(),
            attempts,
            created_at: START,
            expires_at,
        };
        let seconds = |attempts| again(&leased(attempts, None), START).unwrap().since(START).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 60].map(seconds), [10, 60, 300, 900, 3600, 3600]);
        assert_eq!(again(&leased(3, Some(START + 5 * MINUTE)), START), None);
        assert_eq!(again(&leased(9, None), START + GIVE_UP), None);
    }
}
