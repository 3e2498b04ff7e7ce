//! Whether an endpoint is to be trusted with requests: what a check of its own found (`health_check`), shared by all
//! workers, and what one worker's requests met with. Only ranks endpoints: where none is good, all are tried.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::Uri;
use http::header;
use http::uri::PathAndQuery;
use http::uri::Scheme;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;

use super::ForwardError;
use super::connect::Line;
use super::connect::Version;
use super::connectors::Connector;
use super::connectors::Connectors;
use super::error::chain;
use crate::policy::HealthCheck;

/// Requests in a row that got no answer, after which an endpoint is left alone for a while. A connection that does not
/// come about is enough by itself.
const UNANSWERED: u32 = 3;
/// How long it is left alone the first time; each time after that twice as long.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// What the checks found of one endpoint. Written by its task alone.
#[derive(Debug)]
pub(super) struct Vitals {
    epoch: Instant,
    down: AtomicBool,
    /// Milliseconds after `epoch` when it came back; 0: it was never away.
    back: AtomicU64,
}

impl Vitals {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), down: AtomicBool::new(false), back: AtomicU64::new(0) }
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// When it came back; `None`: it was never away.
    pub(super) fn back(&self) -> Option<Instant> {
        let millis = self.back.load(Ordering::Relaxed);
        (millis > 0).then(|| self.epoch + Duration::from_millis(millis))
    }

    /// Returns whether that is news.
    fn set(&self, good: bool) -> bool {
        let was_down = self.down.swap(!good, Ordering::Relaxed);
        if good && was_down {
            let millis = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.back.store(millis.max(1), Ordering::Relaxed);
        }
        was_down == good
    }
}

/// What one worker's own requests met with at one endpoint.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// In a row; 0 again after any answer.
    failures: Cell<u32>,
    /// Rests in a row.
    rests: Cell<u32>,
    /// Left alone until then; `None`: it is not.
    until: Cell<Option<Instant>>,
    /// When it came back; `None`: it was never away.
    back: Cell<Option<Instant>>,
}

impl Record {
    /// Any answer is a good one: what it says is between app and visitor.
    pub(super) fn answered(&self) {
        if self.failures.get() != 0 {
            self.failures.set(0);
            if self.rests.replace(0) != 0 {
                self.until.set(None);
                self.back.set(Some(Instant::now()));
            }
        }
    }

    /// No connection came about.
    pub(super) fn unreachable(&self) {
        self.failures.set(self.failures.get().saturating_add(1));
        self.rest();
    }

    /// A connection, but no answer.
    pub(super) fn unanswered(&self) {
        let failures = self.failures.get().saturating_add(1);
        self.failures.set(failures);
        if failures >= UNANSWERED {
            self.rest();
        }
    }

    /// Whether it is left alone now.
    pub(super) fn is_resting(&self) -> bool {
        self.until.get().is_some_and(|until| Instant::now() < until)
    }

    /// Its rest is over and it was chosen: this request tries it, and no other before it is known what comes of it.
    pub(super) fn is_tried(&self) {
        if self.until.get().is_some() {
            self.until.set(Instant::now().checked_add(self.span()));
        }
    }

    pub(super) fn back(&self) -> Option<Instant> {
        self.back.get()
    }

    fn rest(&self) {
        self.until.set(Instant::now().checked_add(self.span()));
        self.rests.set(self.rests.get().saturating_add(1));
    }

    fn span(&self) -> Duration {
        FIRST_REST.saturating_mul(1 << self.rests.get().min(5)).min(LONGEST_REST)
    }
}

/// Running checks; they end when this is dropped.
#[derive(Debug)]
pub struct Checks {
    connectors: Arc<Connectors>,
    tasks: Vec<JoinHandle<()>>,
}

impl Checks {
    /// Tells a new configuration what is known of endpoints that stay as they were, so that a reload sends nobody to
    /// one that is down.
    pub fn hand_over(&self, next: &Connectors) {
        let checked = |connector: &&Arc<Connector>| connector.upstream.health.is_some();
        for new in next.all().iter().filter(checked) {
            let same = |old: &&Arc<Connector>| old.upstream == new.upstream;
            let Some(old) = self.connectors.all().iter().filter(checked).find(same) else { continue };
            for (old, new) in old.lines.iter().zip(&new.lines) {
                new.vitals.set(!old.vitals.is_down());
            }
        }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Connectors {
    /// Begins to check the endpoints of upstreams with a `health_check`, on the runtime that this is called on.
    #[must_use]
    pub fn watch(self: Arc<Self>) -> Checks {
        let mut tasks = Vec::new();
        for connector in self.all() {
            let Some(check) = &connector.upstream.health else { continue };
            for line in &connector.lines {
                tasks.push(tokio::spawn(keep_checking(Arc::clone(line), check.clone())));
            }
        }
        Checks { connectors: self, tasks }
    }
}

async fn keep_checking(line: Arc<Line>, check: HealthCheck) {
    loop {
        let verdict = timeout(check.timeout, ask(&line, &check)).await.unwrap_or_else(|_| {
            Err(format!(
                "no answer within {:?}; look into its log, or raise health_check.timeout",
                check.timeout
            ))
        });
        let news = line.vitals.set(verdict.is_ok());
        match verdict {
            Ok(()) if news => tracing::info!(endpoint = %line.endpoint, "answers its health check again"),
            Err(why) if news => {
                tracing::warn!(endpoint = %line.endpoint, "does not pass its health check: {why}");
            }
            Ok(()) | Err(_) => {}
        }
        sleep(check.interval).await;
    }
}

/// One request on a connection of its own, so that the way a new visitor would take is checked.
async fn ask(line: &Line, check: &HealthCheck) -> Result<(), String> {
    let (socket, version) =
        line.connect(false, check.timeout).await.map_err(|error: ForwardError| error.to_string())?;
    let request = request(line, check, version)?;
    let io = TokioIo::new(socket);
    let broken = |error: hyper::Error| chain(&error);
    let answer = match version {
        Version::Http1 => {
            let (mut sender, connection) = http1::handshake(io).await.map_err(broken)?;
            let answer = sender.send_request(request);
            tokio::pin!(connection, answer);
            tokio::select! {
                biased;
                answer = &mut answer => answer,
                ended = &mut connection => {
                    ended.map_err(broken)?;
                    answer.await
                }
            }
        }
        Version::Http2 => {
            let (mut sender, connection) =
                http2::handshake(TokioExecutor::new(), io).await.map_err(broken)?;
            // Ends with the sender, or at once where nobody waits any more.
            let _driver = Abort(tokio::spawn(connection));
            sender.send_request(request).await
        }
    };
    let status = answer.map_err(broken)?.status();
    if status.as_u16() < 400 { Ok(()) } else { Err(format!("{} answers {status}", check.path)) }
}

struct Abort<T>(JoinHandle<T>);

impl<T> Drop for Abort<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn request(line: &Line, check: &HealthCheck, version: Version) -> Result<Request<Empty<Bytes>>, String> {
    let path: PathAndQuery =
        check.path.parse().map_err(|_| format!("{:?} is no path; correct health_check.path", check.path))?;
    let mut request = Request::new(Empty::new());
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static("linkgate health check"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    match version {
        Version::Http1 => {
            headers.insert(header::HOST, line.host.clone());
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            *request.uri_mut() = Uri::from(path);
        }
        Version::Http2 => {
            let scheme = if line.is_secure() { Scheme::HTTPS } else { Scheme::HTTP };
            *request.uri_mut() = super::link::absolute(scheme, &line.host, Some(path))
                .ok_or_else(|| format!("{} cannot be asked for {}", line.endpoint, check.path))?;
        }
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_tells_only_news_and_remembers_when_an_endpoint_came_back() {
        let vitals = Vitals::new();
        assert!(!vitals.set(true), "as presumed");
        assert!(vitals.back().is_none(), "never away");
        assert!(vitals.set(false) && vitals.is_down());
        assert!(!vitals.set(false));
        assert!(vitals.set(true) && !vitals.is_down());
        assert!(vitals.back().is_some());
    }

    #[test]
    fn one_refusal_or_three_missing_answers_send_an_endpoint_to_rest() {
        let record = Record::default();
        record.unanswered();
        record.unanswered();
        assert!(!record.is_resting());
        record.answered();
        record.unanswered();
        record.unanswered();
        assert!(!record.is_resting(), "not in a row");
        record.unanswered();
        assert!(record.is_resting());
        record.answered();
        assert!(!record.is_resting() && record.back().is_some());
        record.unreachable();
        assert!(record.is_resting());
    }

    #[test]
    fn rests_grow_longer_up_to_half_a_minute() {
        let record = Record::default();
        let mut spans = Vec::new();
        for _ in 0..8 {
            spans.push(record.span().as_secs());
            record.unreachable();
        }
        assert_eq!(spans, [1, 2, 4, 8, 16, 30, 30, 30]);
        record.answered();
        assert_eq!(record.span(), FIRST_REST);
    }
}
