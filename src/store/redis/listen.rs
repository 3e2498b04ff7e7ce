//! Listens where changes of the standing are said, so that a revocation counts everywhere at once. Only ever rings a bell:
//! what has changed is read, and it is read without a ring too, so that a lost message costs a moment and nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Redis;
use super::connection::Connection;
use super::server;

/// Between two attempts to listen; doubled each time, up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// After so much silence we listen anew: a connection that is cut in between says nothing either.
const SILENCE: Duration = Duration::from_secs(30);

impl Redis {
    /// A bell that rings with every change that any instance makes. The listener ends when nobody holds the bell.
    pub(in crate::store) fn changes(&self) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        let (heard, connection) = (Arc::downgrade(&bell), Arc::clone(&self.connection));
        let channel = self.keys.changed();
        let key = self.keys.standing("version");
        self.connection.home().spawn(async move {
            let mut pause = FIRST_PAUSE;
            while heard.strong_count() > 0 {
                let began = Instant::now();
                if let Err(error) = listen(&connection, &key, &channel, &heard).await {
                    tracing::debug!(%error, "changes are read, not heard, for a while");
                }
                pause = if began.elapsed() > LONGEST_PAUSE {
                    FIRST_PAUSE
                } else {
                    (pause * 2).min(LONGEST_PAUSE)
                };
                if began.elapsed() < SILENCE {
                    tokio::time::sleep(pause).await;
                }
            }
        });
        bell
    }
}

/// Until the connection breaks or has been silent for long.
async fn listen(
    connection: &Connection,
    key: &str,
    channel: &str,
    bell: &std::sync::Weak<Notify>,
) -> Result<(), String> {
    let until = Instant::now() + connection.timeout();
    let place = connection
        .place_of(key, Instant::now() + connection.timeout())
        .await
        .map_err(|error| error.to_string())?;
    let client = server::client(&place, connection.entry()).map_err(|error| error.to_string())?;
    let left = until.saturating_duration_since(Instant::now());
    let subscribe = async {
        let mut messages = client.get_async_pubsub().await?;
        messages.subscribe(channel).await?;
        Ok::<_, ::redis::RedisError>(messages)
    };
    let messages = timeout(left, subscribe).await.map_err(|_| "no answer in time".to_owned())?;
    let mut messages = messages.map_err(|error| error.to_string())?;
    let ring = || {
        if let Some(bell) = bell.upgrade() {
            bell.notify_one();
        }
    };
    // What was said before we listened was not heard.
    ring();
    let mut messages = messages.on_message();
    while let Ok(message) = timeout(SILENCE, messages.next()).await {
        message.ok_or_else(|| "the connection was closed".to_owned())?;
        ring();
    }
    Ok(())
}
