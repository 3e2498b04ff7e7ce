//! The two threads that own a connection each: one writes, in groups, and answers after the commit; one only reads.
//! Never answers before the disk has it, never lets one command's failure undo another's.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::Notify;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::store::StoreError;

/// Commands that may wait; more are refused with [`StoreError::Full`].
const QUEUE: usize = 4096;
/// Commands that share one commit.
const GROUP: usize = 64;

/// A command inside its transaction.
pub(super) struct Tx<'a> {
    connection: &'a Connection,
    /// The moment that judges expiry.
    pub(super) now: Timestamp,
    rings: &'a Cell<bool>,
}

impl Tx<'_> {
    /// Rings for the outbox after the commit.
    pub(super) fn ring(&self) {
        self.rings.set(true);
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// Gives the answer; `Some`: the commit failed.
type Reply = Box<dyn FnOnce(Option<StoreError>) + Send>;

/// Runs a command, or tells it why it cannot run. `Err` undoes what it did.
type Command = Box<dyn FnOnce(Result<&Tx<'_>, StoreError>) -> Result<Reply, Reply> + Send>;

/// The near end of a thread's queue.
#[derive(Clone)]
pub(super) struct Queue(mpsc::Sender<Command>);

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} free)", self.0.capacity())
    }
}

impl Queue {
    /// Has the thread run `work` and waits for the answer.
    pub(super) async fn ask<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let answer = self.send(work)?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Away("a command failed; see the log".to_owned())))
    }

    /// Has the thread run `work`; the answer may be waited for or not.
    pub(super) fn send<T, W>(&self, work: W) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let command: Command = Box::new(move |tx| match tx.and_then(work) {
            Ok(value) => Ok(Box::new(move |failed| {
                // Who asked may have gone: what was done stays done.
                let _ = sender.send(failed.map_or(Ok(value), Err));
            })),
            Err(error) => Err(Box::new(move |_| {
                let _ = sender.send(Err(error));
            })),
        });
        match self.0.try_send(command) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(StoreError::Full),
            Err(TrySendError::Closed(_)) => Err(StoreError::Away("its thread has ended".to_owned())),
        }
    }
}

/// Starts the writing thread. It ends when the last [`Queue`] is dropped and everything in it is done.
pub(super) fn writer(connection: Connection, clock: Clock, bell: Arc<Notify>) -> Result<Queue, StoreError> {
    let (sender, mut commands) = mpsc::channel::<Command>(QUEUE);
    spawn("store-writer", move || {
        let mut connection = connection;
        while let Some(first) = commands.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP {
                let Ok(next) = commands.try_recv() else { break };
                group.push(next);
            }
            write_group(&mut connection, group, &clock, &bell);
        }
    })?;
    Ok(Queue(sender))
}

/// Starts the reading thread. Each command sees one moment of the file.
pub(super) fn reader(connection: Connection, clock: Clock) -> Result<Queue, StoreError> {
    let (sender, mut commands) = mpsc::channel::<Command>(QUEUE);
    spawn("store-reader", move || {
        let mut connection = connection;
        while let Some(command) = commands.blocking_recv() {
            match connection.transaction() {
                Ok(transaction) => {
                    if let Some(outcome) = run(&transaction, command, &clock, &Cell::new(false)) {
                        outcome.unwrap_or_else(|reply| reply)(None);
                    }
                }
                Err(error) => refuse(command, StoreError::from(error)),
            }
        }
    })?;
    Ok(Queue(sender))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|error| StoreError::Away(format!("no thread for it: {error}")))
}

/// One transaction, a savepoint for each command, the answers after the commit.
fn write_group(connection: &mut Connection, group: Vec<Command>, clock: &Clock, bell: &Notify) {
    let rings = Cell::new(false);
    let mut replies = Vec::with_capacity(group.len());
    let mut commands = group.into_iter();
    let outcome =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            for command in commands.by_ref() {
                transaction.execute_batch("SAVEPOINT command")?;
                let outcome = run(&transaction, command, clock, &rings);
                let end = match &outcome {
                    Some(Ok(_)) => "RELEASE command",
                    Some(Err(_)) | None => "ROLLBACK TO command; RELEASE command",
                };
                replies.extend(outcome.map(|outcome| outcome.unwrap_or_else(|reply| reply)));
                // Where this fails, SQLite has given the whole transaction up (a full disk, say): nobody's work is kept.
                transaction.execute_batch(end)?;
            }
            transaction.commit()
        });
    let failed = outcome.err().map(StoreError::from);
    if failed.is_none() && rings.get() {
        bell.notify_one();
    }
    for reply in replies {
        reply(failed.clone());
    }
    if let Some(error) = failed {
        commands.for_each(|command| refuse(command, error.clone()));
    }
}

/// `None`: the command panicked; whoever waits for it is told so by the closed channel.
fn run(
    connection: &Connection,
    command: Command,
    clock: &Clock,
    rings: &Cell<bool>,
) -> Option<Result<Reply, Reply>> {
    let tx = Tx { connection, now: clock.now(), rings };
    catch_unwind(AssertUnwindSafe(|| command(Ok(&tx)))).ok()
}

/// Tells a command that it cannot run.
fn refuse(command: Command, error: StoreError) {
    command(Err(error)).unwrap_or_else(|reply| reply)(None);
}
