//! A change that the store tells as such, taken over without reading all the rest. The same rules as for a snapshot: what
//! has ended here stays ended, and what the store lacks is noted for it.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Person, Standing, lock, write};
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::KeyEpoch;
use crate::identity::SessionId;
use crate::identity::StoredPerson;

/// What has changed, where the store can tell it from all that has not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Sessions that have ended, each with its absolute end.
    pub ended: Vec<(SessionId, Timestamp)>,
    /// People as they are now, each once; one without profile and generation is nobody any more.
    pub people: Vec<StoredPerson>,
    /// All key epochs, newest first; `None`: they are as they were.
    pub epochs: Option<Vec<KeyEpoch>>,
}

impl Standing {
    /// Takes over what the store says has changed; current as of `now`, because it is all that has. Goes with
    /// [`Standing::confirm`]: what was never loaded is not made current by it.
    pub fn change(&self, change: Change, now: Timestamp) {
        let mut changed = self.end(&change.ended, now);
        changed |= self.change_people(change.people);
        if let Some(stored) = change.epochs {
            changed |= self.change_epochs(&stored, now);
        }
        if changed {
            self.bump();
        }
        self.confirm(now);
    }

    fn end(&self, ended: &[(SessionId, Timestamp)], now: Timestamp) -> bool {
        if ended.is_empty() {
            return false;
        }
        let ids: HashSet<SessionId> = ended.iter().map(|(id, _)| *id).collect();
        lock(&self.unsaid).revoked.retain(|(id, _)| !ids.contains(id));
        let mut changed = false;
        let mut revoked = write(&self.revoked);
        for (id, until) in ended.iter().filter(|(_, until)| *until >= now) {
            changed |= revoked.insert(*id, *until).is_none();
        }
        changed
    }

    fn change_people(&self, news: Vec<StoredPerson>) -> bool {
        let (mut changed, mut heard) = (false, Vec::new());
        {
            let mut people = write(&self.people);
            for StoredPerson { site, email, generation, profile } in news {
                let of_site = people.entry(site.clone()).or_default();
                let known = of_site.get(&email).map_or(0, |person| person.generation);
                let next = Person { generation: generation.max(known), profile: profile.map(Arc::new) };
                changed |= *of_site.entry(email.clone()).or_default() != next;
                if next == Person::default() {
                    of_site.remove(&email);
                } else {
                    of_site.insert(email.clone(), next);
                }
                heard.push((site, email, generation, known));
            }
        }
        let mut unsaid = lock(&self.unsaid);
        for (site, email, stored, known) in heard {
            note(&mut unsaid.generations, site, email, stored, known);
        }
        changed
    }

    fn change_epochs(&self, stored: &[KeyEpoch], now: Timestamp) -> bool {
        let united = self.epochs_with(stored, now);
        lock(&self.unsaid).epochs = united.iter().filter(|epoch| !stored.contains(epoch)).cloned().collect();
        let mut epochs = write(&self.epochs);
        let changed = *epochs != united;
        *epochs = united;
        changed
    }
}

/// Crosses a number out that the store has, and notes one that it lacks.
pub(super) fn note(
    generations: &mut Vec<(String, EmailAddress, u64)>,
    site: String,
    email: EmailAddress,
    stored: u64,
    known: u64,
) {
    generations.retain(|(of, who, number)| *of != site || *who != email || *number > stored.max(known));
    if known > stored {
        generations.push((site, email, known));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::Profile;
    use crate::identity::Snapshot;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn id(byte: u8) -> SessionId {
        SessionId::from_bytes([byte; 16])
    }

    fn alice() -> EmailAddress {
        EmailAddress::parse("alice@example.com").unwrap()
    }

    fn person(generation: u64, profile: bool) -> Change {
        let profile = profile.then(|| Profile::bare(alice()));
        let person = StoredPerson { site: "wiki".to_owned(), email: alice(), generation, profile };
        Change { people: vec![person], ..Change::default() }
    }

    fn ended(ended: &[(SessionId, Timestamp)]) -> Change {
        Change { ended: ended.to_vec(), ..Change::default() }
    }

    fn loaded() -> Standing {
        let standing = Standing::new();
        standing.apply(Snapshot::default(), at(1));
        standing
    }

    #[test]
    fn ended_sessions_are_taken_in_one_by_one_and_need_not_be_said_again() {
        let standing = loaded();
        standing.revoke(id(1), at(100));
        let before = standing.generation();
        standing.change(ended(&[(id(1), at(100))]), at(2));
        assert!(standing.unsaid(99).is_empty());
        assert_eq!(standing.generation(), before, "it had ended here already");
        standing.change(ended(&[(id(2), at(100)), (id(3), at(1))]), at(3));
        assert!(standing.is_revoked(&id(2)) && !standing.is_revoked(&id(3)));
        assert_eq!(standing.age(at(3)), Some(Duration::ZERO));
        assert!(standing.generation() > before);
    }

    #[test]
    fn who_is_only_ever_told_of_changes_forgets_what_is_over_all_the_same() {
        let standing = loaded();
        standing.change(ended(&[(id(1), at(100)), (id(2), at(200))]), at(2));
        let before = standing.generation();
        standing.sweep(at(100));
        assert!(standing.is_revoked(&id(1)), "not before its end has passed");
        standing.sweep(at(101));
        assert!(!standing.is_revoked(&id(1)) && standing.is_revoked(&id(2)));
        assert_eq!(standing.generation(), before, "nobody is judged anew for it");
    }

    #[test]
    fn a_person_is_taken_in_alone_and_nobodys_generation_ever_falls() {
        let standing = loaded();
        standing.change(person(2, true), at(2));
        assert!(standing.profile("wiki", &alice()).is_some());
        let before = standing.generation();
        standing.change(person(2, true), at(3));
        assert_eq!(standing.generation(), before, "nothing new");
        // A store that has lost something, and is told.
        standing.change(person(1, false), at(4));
        assert_eq!(standing.person_generation("wiki", &alice()), 2);
        assert!(standing.profile("wiki", &alice()).is_none());
        assert!(standing.generation() > before);
        let lacks = vec![("wiki".to_owned(), alice(), 2)];
        assert_eq!(standing.unsaid(99).generations, lacks);
        standing.change(person(1, false), at(5));
        assert_eq!(standing.unsaid(99).generations, lacks, "noted once");
        standing.change(person(3, false), at(6));
        assert!(standing.unsaid(99).is_empty());
        assert_eq!(standing.person_generation("wiki", &alice()), 3);
    }

    #[test]
    fn key_epochs_are_united_as_with_a_snapshot_and_nothing_is_loaded_by_a_change() {
        let epoch = |id: &str, created: i64, until: Option<i64>| KeyEpoch {
            id: id.to_owned(),
            created_at: at(created),
            accepted_until: until.map(at),
        };
        let told = |epochs: Vec<KeyEpoch>| Change { epochs: Some(epochs), ..Change::default() };
        let standing = loaded();
        let rotated = vec![epoch("b", 2, None), epoch("a", 1, Some(50))];
        standing.change(told(rotated.clone()), at(3));
        assert_eq!(standing.keys_epochs(), rotated);
        standing.change(told(vec![epoch("a", 1, None)]), at(4));
        assert_eq!((standing.keys_epochs(), standing.unsaid(99).epochs), (rotated.clone(), rotated));

        let never = Standing::new();
        never.change(person(1, true), at(9));
        assert_eq!(never.age(at(9)), None);
    }
}
