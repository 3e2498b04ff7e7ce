//! The keys in force, shared by everybody, exchanged when they are rotated. Never writes a key anywhere.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use super::AssertionKey;
use super::KeyEpoch;
use super::KeyError;
use super::Keys;
use super::MasterSecret;
use crate::clock::Timestamp;
use crate::random::Random;

/// Master secrets, and what is derived from them at present.
#[derive(Debug)]
pub struct Keyring {
    masters: Vec<MasterSecret>,
    assertions: AssertionKey,
    current: RwLock<(Vec<String>, Arc<Keys>)>,
}

impl Keyring {
    /// `masters`: current first. `epochs`: newest first, at least one.
    ///
    /// # Errors
    /// [`KeyError`] where a secret is too short or there is no epoch.
    pub fn new(masters: Vec<MasterSecret>, epochs: &[KeyEpoch]) -> Result<Self, KeyError> {
        let assertions = AssertionKey::new(&masters)?;
        let keys = Arc::new(Keys::new(&masters, epochs)?);
        Ok(Self { masters, assertions, current: RwLock::new((marks(epochs), keys)) })
    }

    /// Before the store has answered: keys of an epoch that nobody else knows, so that what they sign is of no use to
    /// anybody once [`Keyring::update`] has brought those in force.
    ///
    /// # Errors
    /// [`KeyError`] where a secret is too short.
    pub fn waiting(masters: Vec<MasterSecret>, random: &Random) -> Result<Self, KeyError> {
        let id = format!("waiting-{}", random.uuid());
        Self::new(masters, &[KeyEpoch { id, created_at: Timestamp::default(), accepted_until: None }])
    }

    /// The keys in force.
    #[must_use]
    pub fn current(&self) -> Arc<Keys> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Signs what apps are told.
    #[must_use]
    pub const fn assertions(&self) -> &AssertionKey {
        &self.assertions
    }

    /// Whether these are the master secrets in force.
    #[must_use]
    pub fn same_masters(&self, masters: &[MasterSecret]) -> bool {
        self.masters.len() == masters.len()
            && self.masters.iter().zip(masters).all(|(ours, theirs)| ours.encode() == theirs.encode())
    }

    /// Takes over the store's epochs; does nothing when they are those in force.
    ///
    /// # Errors
    /// [`KeyError`] where there is no epoch: the old keys stay.
    pub fn update(&self, epochs: &[KeyEpoch]) -> Result<(), KeyError> {
        let marks = marks(epochs);
        if self.current.read().unwrap_or_else(PoisonError::into_inner).0 == marks {
            return Ok(());
        }
        let keys = Arc::new(Keys::new(&self.masters, epochs)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (marks, keys);
        Ok(())
    }
}

fn marks(epochs: &[KeyEpoch]) -> Vec<String> {
    epochs.iter().map(|epoch| format!("{} {:?}", epoch.id, epoch.accepted_until)).collect()
}
