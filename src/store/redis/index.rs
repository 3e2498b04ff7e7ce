//! Indexes: written before the record that they point to, so that a record is always found. An entry without a record is
//! passed over; indexes of one person or one browser clean themselves, the large ones are swept.

use super::Redis;
use super::bytes;
use super::connection::Ask;
use crate::clock::Timestamp;

impl Redis {
    /// An entry of an index that cleans itself. `until`: when it is of no more use; `None`: never.
    pub(super) fn small_index(&self, key: String, member: &[u8], until: Option<Timestamp>) -> Ask {
        let until = until.map_or_else(|| b"inf".to_vec(), |until| bytes(until.millis()));
        self.script(&self.scripts.index, &[key], vec![member.to_vec(), until])
    }

    /// An entry of a large index. `look_at`: when the sweep looks at it next.
    pub(super) fn large_index(key: &str, member: &[u8], look_at: Option<Timestamp>) -> Ask {
        let score = look_at.map_or_else(|| b"inf".to_vec(), |at| bytes(at.millis()));
        let mut command = ::redis::cmd("ZADD");
        command.arg(key).arg(score).arg(member);
        Ask::one(key, command)
    }
}
