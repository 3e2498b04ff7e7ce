//! Everything at once on connections that are used again and again: downloads, uploads, event streams and people who
//! leave half way, over HTTP/1.1 and HTTP/2. Every byte is compared, and afterwards nothing is left open. For as long as
//! `SLOW_SECONDS` says; `tests/slow.sh` says minutes.

use crate::harness::eventually;
use crate::harness::given;
use crate::harness::h2::Fed;
use crate::harness::noise;
use crate::harness::process;
use crate::harness::stage::SECURE_HOST;
use crate::harness::stage::Stage;
use bytes::Bytes;
use http::Request;
use http::Response;
use http_body_util::BodyExt as _;
use http_body_util::Either;
use http_body_util::Full;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

type Sent = Either<Full<Bytes>, Fed>;

/// Largest body; most are much smaller.
const LARGEST: u64 = 3 << 20;

/// A body that is fed in uneven pieces; ends early, and not well, where nobody takes it.
fn fed(bytes: Vec<u8>) -> Fed {
    let (feed, pieces) = mpsc::channel(1);
    tokio::spawn(async move {
        let bytes = Bytes::from(bytes);
        let mut at = 0;
        for step in [1, 700, 20_000, 65_536, 3].into_iter().cycle() {
            let end = bytes.len().min(at + step);
            if at == end || feed.send(Frame::data(bytes.slice(at..end))).await.is_err() {
                return;
            }
            at = end;
        }
    });
    Fed(Some(pieces))
}

/// `/down/SEED/SIZE`, `/chunked/SEED/SIZE`, `/events/COUNT`, `/endless`; anything else says what was sent to it.
async fn app(request: Request<Incoming>) -> Result<Response<Sent>, hyper::Error> {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let number = |at: usize| parts[at].parse::<u64>().unwrap();
    Ok(match parts[0] {
        "down" => {
            let bytes = noise::some(number(1), usize::try_from(number(2)).unwrap());
            Response::new(Either::Left(Full::new(Bytes::from(bytes))))
        }
        "chunked" => {
            Response::new(Either::Right(fed(noise::some(number(1), usize::try_from(number(2)).unwrap()))))
        }
        "events" => {
            let (feed, events) = mpsc::channel(1);
            let count = number(1);
            tokio::spawn(async move {
                for event in 0..count {
                    if feed.send(Frame::data(Bytes::from(format!("data: {event}\n\n")))).await.is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            });
            Response::new(Either::Right(Fed(Some(events))))
        }
        "endless" => {
            let (feed, events) = mpsc::channel(1);
            tokio::spawn(async move {
                while feed.send(Frame::data(Bytes::from_static(&[b'x'; 10_000]))).await.is_ok() {}
            });
            Response::new(Either::Right(Fed(Some(events))))
        }
        _ => {
            let body = request.into_body().collect().await?.to_bytes();
            Response::new(Either::Left(Full::new(Bytes::from(digest(&body)))))
        }
    })
}

fn digest(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    format!("{} {digest:?}", bytes.len())
}

async fn serve(listener: TcpListener, http2: bool) {
    // The connections end with this task.
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        connections.spawn(async move {
            tcp.set_nodelay(true).unwrap();
            let io = TokioIo::new(tcp);
            if http2 {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                drop(builder.serve_connection(io, service_fn(app)).await);
            } else {
                let builder = hyper::server::conn::http1::Builder::new();
                drop(builder.serve_connection(io, service_fn(app)).await);
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

enum Visitor {
    One(http1::SendRequest<Sent>),
    Two(http2::SendRequest<Sent>),
}

impl Visitor {
    async fn connect(house: &House, http2: bool) -> Self {
        let mut config = (*house.tls).clone();
        config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let tcp = TcpStream::connect(("127.0.0.1", house.port)).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = rustls_pki_types::ServerName::try_from(SECURE_HOST).unwrap();
        let io = TokioIo::new(TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap());
        if http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Self::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Self::One(sender)
        }
    }

    async fn ready(&mut self) -> bool {
        match self {
            Self::One(sender) => sender.ready().await.is_ok(),
            Self::Two(sender) => sender.ready().await.is_ok(),
        }
    }

    async fn ask(&mut self, request: Request<Sent>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(sender) => sender.send_request(request).await,
            Self::Two(sender) => sender.send_request(request).await,
        }
    }
}

struct House {
    tls: Arc<rustls::ClientConfig>,
    port: u16,
    host: String,
    cookie: String,
}

impl House {
    fn request(&self, http2: bool, method: &str, path: &str, body: Sent) -> Request<Sent> {
        let builder = Request::builder().method(method).header("cookie", &self.cookie);
        let builder = if http2 {
            builder.uri(format!("https://{}{path}", self.host))
        } else {
            builder.uri(path).header("host", &self.host)
        };
        builder.body(body).unwrap()
    }
}

fn none() -> Sent {
    Either::Left(Full::default())
}

/// One person who does one thing after the other until the time is over; how often each was done.
async fn live(house: Arc<House>, person: u64, until: Instant) -> BTreeMap<&'static str, u64> {
    let http2 = person.is_multiple_of(2);
    let mut done = BTreeMap::new();
    let mut visitor = Visitor::connect(&house, http2).await;
    let mut turn = person;
    while Instant::now() < until {
        turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (what, seed) = ((turn >> 33) % 9, turn >> 40);
        let size = match seed % 10 {
            0 => 0,
            1..=6 => seed % 5_000,
            7 | 8 => seed % 200_000,
            _ => seed % LARGEST,
        };
        if !visitor.ready().await {
            visitor = Visitor::connect(&house, http2).await;
            *done.entry("connected anew").or_default() += 1;
        }
        let length = usize::try_from(size).unwrap();
        let request = |method: &str, path: &str, body: Sent| house.request(http2, method, path, body);
        let name = match what {
            0..=2 => {
                let kind = if what == 0 { "chunked" } else { "down" };
                let answer = visitor.ask(request("GET", &format!("/{kind}/{seed}/{size}"), none())).await;
                let answer = answer.unwrap();
                assert_eq!(answer.status(), 200);
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                assert!(body == noise::some(seed, length), "{kind} {seed} {size}: {} bytes", body.len());
                "downloads"
            }
            3 | 4 => {
                let bytes = noise::some(seed, length);
                let wanted = digest(&bytes);
                let body =
                    if what == 3 { Either::Right(fed(bytes)) } else { Either::Left(Full::new(bytes.into())) };
                let answer = visitor.ask(request("POST", "/up", body)).await.unwrap();
                assert_eq!(answer.status(), 200);
                assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), wanted);
                "uploads"
            }
            5 => {
                let count = seed % 50;
                let answer = visitor.ask(request("GET", &format!("/events/{count}"), none())).await.unwrap();
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                let wanted =
                    (0..count).map(|event| format!("data: {event}\n\n")).collect::<Vec<_>>().concat();
                assert_eq!(body, wanted);
                "event streams"
            }
            6 => {
                let answer = visitor.ask(request("GET", "/endless", none())).await.unwrap();
                let mut body = answer.into_body();
                for _ in 0..seed % 5 {
                    body.frame().await.unwrap().unwrap();
                }
                drop(body);
                "downloads left half way"
            }
            7 => {
                let (feed, body) = mpsc::channel(1);
                let asking = visitor.ask(request("PUT", "/up", Either::Right(Fed(Some(body)))));
                let piece = Frame::data(Bytes::from(vec![b'y'; 30_000]));
                tokio::select! {
                    answer = asking => panic!("an answer before the upload ended: {answer:?}"),
                    sent = async {
                        for _ in 0..=seed % 4 {
                            feed.send(Frame::data(piece.data_ref().unwrap().clone())).await?;
                        }
                        Ok::<(), mpsc::error::SendError<Frame<Bytes>>>(())
                    } => sent.unwrap(),
                }
                if !http2 {
                    // Only the end of the connection ends a request of HTTP/1.
                    visitor = Visitor::connect(&house, http2).await;
                }
                "uploads left half way"
            }
            _ => {
                visitor = Visitor::connect(&house, http2).await;
                "connections left"
            }
        };
        *done.entry(name).or_default() += 1;
    }
    done
}

#[tokio::test]
async fn everything_at_once_stays_whole_and_leaves_nothing_open() {
    all_at_once("http").await;
}

#[tokio::test]
async fn everything_at_once_stays_whole_before_an_app_that_speaks_http_2() {
    all_at_once("h2c").await;
}

async fn all_at_once(scheme: &str) {
    let seconds = given("SLOW_SECONDS", 4);
    let Stage { gateway, app, authority, cookie, host } = Stage::secure(scheme, "").await;
    let tls = authority.unwrap().client();
    let house = Arc::new(House { tls, port: gateway.place.port, host, cookie });
    let pid = gateway.pid();
    let before = process::descriptors(pid);
    let serving = tokio::spawn(serve(app, scheme == "h2c"));
    process::forget_peak(pid);
    let (resident, _) = process::resident(pid);

    let until = Instant::now() + Duration::from_secs(seconds);
    let mut people = JoinSet::new();
    for person in 0..40 {
        people.spawn(live(Arc::clone(&house), person, until));
    }
    let mut all = BTreeMap::new();
    for done in people.join_all().await {
        for (what, count) in done {
            *all.entry(what).or_insert(0) += count;
        }
    }
    let (_, peak) = process::resident(pid);
    println!(
        "slow: mixed traffic for {seconds} s to an app by {scheme}: {all:?}, at most {} KiB more than the {resident} KiB before",
        peak - resident
    );
    for what in ["downloads", "uploads", "event streams", "downloads left half way", "uploads left half way"]
    {
        assert!(all.get(what).is_some_and(|count| *count > 5), "hardly any {what}: {all:?}");
    }

    // The people are gone; the app goes; then nothing is held that was not held before.
    serving.abort();
    eventually(&format!("{before} descriptors are left"), async || {
        (process::descriptors(pid) <= before).then_some(())
    })
    .await;
    let answers = gateway.log();
    assert!(!answers.contains("panicked"), "a worker panicked");
}
