//! Many things that must not be lost with one server, said at once: one journey to each server, and one `WAIT` behind it.
//! Never asks each to be confirmed alone, unless keys are moving meanwhile.

use ::redis::Value;
use tokio::task::JoinSet;

use super::Redis;
use super::address::Place;
use super::connection::Ask;
use super::server::Lane;
use crate::store::StoreError;

/// Whether replicas are to be asked: not any more, once they did not confirm what belongs to the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sure {
    Yes,
    /// Said again later, by [`Redis::repeat`].
    Later,
}

impl Sure {
    /// What follows something that replicas have confirmed, or have not.
    pub(super) const fn of(confirmed: bool) -> Self {
        if confirmed { Self::Yes } else { Self::Later }
    }
}

/// An answer, and whether replicas have confirmed it.
pub(super) type Outcome = Result<(Value, bool), StoreError>;

/// What one server is asked, and the places of the questions among all.
type Group = (Place, Vec<usize>);

impl Redis {
    /// Says things that have one answer each and may be said twice. Answers come in the order of the questions; what is
    /// not confirmed is said again until it is. `sure` becomes [`Sure::Later`] with the first that is not.
    pub(super) async fn say_all(&self, asks: Vec<Ask>, sure: &mut Sure) -> Result<Vec<Value>, StoreError> {
        if *sure == Sure::Later {
            let answers = self.connection.ask_all(asks.clone()).await?;
            self.repeat(asks);
            return Ok(answers.into_iter().map(|mut own| own.pop().unwrap_or_default()).collect());
        }
        let outcomes = self.run_all_surely(Lane::Sure, &asks).await;
        let open = asks.into_iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, Ok((_, false))));
        let open: Vec<Ask> = open.map(|(ask, _)| ask).collect();
        if !open.is_empty() {
            *sure = Sure::Later;
            self.repeat(open);
        }
        outcomes.into_iter().map(|outcome| outcome.map(|(answer, _)| answer)).collect()
    }

    /// Says what letters depend on. Whether replicas have confirmed it stands beside each answer.
    pub(super) async fn promise(&self, asks: &[Ask]) -> Result<Vec<(Value, bool)>, StoreError> {
        self.run_all_surely(Lane::Letters, asks).await.into_iter().collect()
    }

    /// As [`Redis::run_surely`], for many at once.
    pub(super) async fn run_all_surely(&self, lane: Lane, asks: &[Ask]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = vec![Ok((Value::Nil, false)); asks.len()];
        let mut tasks = JoinSet::new();
        for (_, members) in self.by_server(asks, &mut outcomes).await {
            let some: Vec<Ask> = members.iter().filter_map(|at| asks.get(*at).cloned()).collect();
            let this = self.clone();
            let say = async move { (members, this.run_group_surely(lane, &some).await) };
            tasks.spawn_on(say, self.connection.home());
        }
        for (members, outcome) in tasks.join_all().await {
            for (number, at) in members.into_iter().enumerate() {
                if let Some(place) = outcomes.get_mut(at) {
                    *place = match &outcome {
                        Ok(some) => some.get(number).cloned().unwrap_or(Ok((Value::Nil, false))),
                        Err(error) => Err(error.clone()),
                    };
                }
            }
        }
        outcomes
    }

    /// Together, for all go to one server; what was not done there, because its key has moved, one after the other. What
    /// was done is not said again.
    async fn run_group_surely(&self, lane: Lane, asks: &[Ask]) -> Result<Vec<Outcome>, StoreError> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; asks.len()];
        // By their names, and then in full what the server does not know by its name.
        for in_full in [false, true] {
            let open: Vec<(&Ask, &mut Option<Outcome>)> =
                asks.iter().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_none()).collect();
            if open.len() < 2 {
                break;
            }
            let some: Vec<&Ask> = open.iter().map(|(ask, _)| *ask).collect();
            let answers = self.connection.ask_together(lane, &some, in_full).await?;
            for ((_, outcome), answer) in open.into_iter().zip(answers) {
                *outcome = answer;
            }
        }
        let mut all: Vec<Outcome> = Vec::with_capacity(asks.len());
        let mut away = None;
        for (ask, outcome) in asks.iter().zip(outcomes) {
            let outcome = match (outcome, &away) {
                (Some(outcome), _) => outcome,
                (None, Some(away)) => Err(StoreError::clone(away)),
                (None, None) => {
                    let outcome = self.connection.ask_surely(lane, ask).await;
                    outcome.map(|(mut answers, sure)| (answers.pop().unwrap_or_default(), sure))
                }
            };
            if let Err(error @ StoreError::Away(_)) = &outcome {
                away.get_or_insert_with(|| error.clone());
            }
            all.push(outcome);
        }
        Ok(all)
    }

    /// Which go to the same server; where none can be found at the moment, the outcomes say why.
    async fn by_server(&self, asks: &[Ask], outcomes: &mut [Outcome]) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (at, ask) in asks.iter().enumerate() {
            match self.connection.place_of(&ask.key).await {
                Ok(place) => match groups.iter_mut().find(|(known, _)| *known == place) {
                    Some((_, members)) => members.push(at),
                    None => groups.push((place, vec![at])),
                },
                // Who knows no way to this one knows none to the others.
                Err(error) => {
                    outcomes.fill(Err(error));
                    return Vec::new();
                }
            }
        }
        groups
    }
}
