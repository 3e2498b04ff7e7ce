//! Visitors who take their time, or come in crowds: everybody else is served meanwhile, and memory stays bounded.
//! The same with 15,000 idle connections: tests/slow/idle.sh.

use crate::harness::authority::Authority;
use crate::harness::eventually_within;
use crate::harness::frames::DATA;
use crate::harness::frames::END_HEADERS;
use crate::harness::frames::END_STREAM;
use crate::harness::frames::Frames;
use crate::harness::frames::HEADERS;
use crate::harness::frames::RESET;
use crate::harness::frames::WINDOW;
use crate::harness::frames::block;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::harness::process::crowd;
use crate::harness::process::descriptors;
use crate::harness::process::resident;
use crate::harness::raise_file_limit;
use crate::harness::raw::exchange;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

const HOST: &str = "wiki.localhost";

/// The widest window that HTTP/2 knows.
const WIDE: u32 = (1 << 31) - 1;

/// What `/open/large` answers with: more than all buffers on the way hold, on any machine. Nobody ever sends all of it.
const LARGE: usize = 1 << 40;

/// How many of it the kernel takes in for a visitor who does not read. Where it may choose, it takes six megabytes and
/// more, and a hundred visitors are all the memory that it has for connections.
const KEPT: u32 = 16 * 1024;

/// How long a head or a body may take here, on a machine that has nothing else to do: all the slow must have come, and
/// others been served, before. Whoever is held up by a slow one waits that long.
const SLOWEST: Duration = Duration::from_secs(10);

/// How long anything may take: several times the above, on a machine that has very much else to do.
const LONG: Duration = Duration::from_mins(4);

/// An app that answers with a few bytes or with very many, and reads bodies only where it must.
struct App {
    port: u16,
    /// Answers to `/open/large` that are under way.
    pouring: Arc<AtomicUsize>,
    /// [`SLOWEST`], where as many tasks want each processor as here and now; whole seconds.
    slowest: Duration,
    task: tokio::task::JoinHandle<()>,
}

impl App {
    fn start() -> Self {
        raise_file_limit();
        let listener = TcpSocket::new_v4().unwrap();
        // The test itself should not be busy with filling buffers.
        listener.set_send_buffer_size(KEPT).unwrap();
        listener.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = listener.listen(1024).unwrap();
        let port = listener.local_addr().unwrap().port();
        let slowest = Duration::from_secs(SLOWEST.mul_f64(crowd().min(8.0)).as_secs());
        let pouring = Arc::<AtomicUsize>::default();
        let shared = Arc::clone(&pouring);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, Arc::clone(&shared)));
            }
        });
        Self { port, pouring, slowest, task }
    }

    fn pouring(&self) -> usize {
        self.pouring.load(Ordering::Relaxed)
    }
}

/// Counts for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut socket: TcpStream, pouring: Arc<AtomicUsize>) -> Option<()> {
    let mut read = Vec::new();
    loop {
        while !read.windows(4).any(|end| end == b"\r\n\r\n") {
            if socket.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        }
        let head = String::from_utf8_lossy(&std::mem::take(&mut read)).into_owned();
        if head.starts_with("POST") {
            // Waits for a body that does not come.
            while socket.read_buf(&mut read).await.ok()? > 0 {
                read.clear();
            }
            return None;
        }
        let large = head.contains(" /open/large ").then(|| Counted::new(&pouring));
        let length = if large.is_some() { LARGE } else { 3 };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        socket.write_all(answer.as_bytes()).await.ok()?;
        let piece = vec![b'x'; 64 * 1024];
        let mut left = length;
        while left > 0 {
            let now = left.min(piece.len());
            socket.write_all(&piece[..now]).await.ok()?;
            left -= now;
        }
        drop(large);
    }
}

async fn start(app: &App, scheme: &str) -> (Gateway, Arc<Authority>) {
    let place = Place::new();
    let authority = Authority::make(place.path(), &[HOST]);
    let head = HEAD.replace("http://127", &format!("{scheme}://127"));
    let (rest, limits) = head.split_once("[limits]").unwrap();
    let tls = match scheme {
        "https" => "[tls]\ncertificate = \"@DIR@/site.pem\"\nkey = \"@DIR@/site.key\"\n",
        _ => "",
    };
    let config = format!(
        r#"
workers = 2
{rest}{tls}[limits]
header_timeout = "{0}s"
body_timeout = "{0}s"
{limits}
[[site]]
name = "wiki"
url = "{scheme}://{HOST}:@PORT@"
allow = ["alice@example.com"]
[[site.app]]
name = "main"
host = "{HOST}"
upstream = "http://127.0.0.1:{1}"
access = "public"
"#,
        app.slowest.as_secs(),
        app.port
    )
    // A line for each of a thousand connections would be measured with them.
    .replace("level = \"debug\"", "level = \"warn\"");
    (Gateway::start_with(place, &config).await, authority)
}

/// An ordinary visitor, now.
async fn probe(gateway: &Gateway) {
    let answer = exchange(gateway.place.port, &get("/open/probe", "Connection: close\r\n")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// For some seconds ordinary visitors are served while all the slow ones are there. No clock judges it: whoever is held
/// up by the slow is served when they are cut, however fast or busy the machine is.
async fn others_are_served(gateway: &Gateway, all_there: impl Fn() -> bool) {
    let (began, mut served) = (Instant::now(), 0);
    while all_there() && (served < 20 || began.elapsed() < Duration::from_secs(2)) {
        probe(gateway).await;
        served += usize::from(all_there());
    }
    assert!(served >= 20, "{served} were served while the slow were there");
}

/// Whether the kernel knows the gateway's end of this connection still: open, or closed with bytes that nobody took.
fn is_kept(gateway: &Gateway, visitor: &TcpStream) -> bool {
    let end = |port| format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]));
    let ends = format!(" {} {} ", end(gateway.place.port), end(visitor.local_addr().unwrap().port()));
    std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&ends)
}

/// Whether the gateway has closed none of them.
fn are_open(slow: &[TcpStream]) -> bool {
    slow.iter().all(|socket| {
        socket.try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    })
}

fn get(path: &str, more: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{more}\r\n").into_bytes()
}

/// So that what is made once is not measured with what is made for each.
async fn warm_up(gateway: &Gateway) -> u64 {
    for _ in 0..20 {
        probe(gateway).await;
    }
    resident(gateway.pid()).0
}

/// How many KiB each of `count` has cost; at most `bound`.
fn assert_each(gateway: &Gateway, before: u64, count: u64, bound: u64) {
    let after = resident(gateway.pid()).0;
    let each = after.saturating_sub(before) / count;
    eprintln!("each of {count} costs {each} KiB ({before} KiB before, {after} KiB now)");
    assert!(each <= bound, "each of {count} costs {each} KiB, more than {bound} ({before} to {after})");
}

async fn open(gateway: &Gateway, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        let mut socket = connect(gateway).await;
        socket.write_all(bytes).await.unwrap();
        open.push(socket);
    }
    open
}

async fn connect(gateway: &Gateway) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(KEPT).unwrap();
    socket.connect(SocketAddr::from(([127, 0, 0, 1], gateway.place.port))).await.unwrap()
}

/// Reads each to its end; what came.
async fn ends(open: Vec<TcpStream>) -> Vec<Vec<u8>> {
    let mut all = Vec::with_capacity(open.len());
    for socket in open {
        all.push(end(socket).await.0);
    }
    all
}

/// Reads to the end: what came, and whether it was a reset, as of a connection that is cut with bytes under way.
async fn end(mut socket: impl AsyncRead + Unpin) -> (Vec<u8>, bool) {
    let mut rest = Vec::new();
    let end = timeout(LONG, socket.read_to_end(&mut rest)).await.expect("the gateway ends it");
    (rest, end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset))
}

#[tokio::test]
async fn a_thousand_slow_heads_hold_up_nobody_and_are_cut() {
    let app = App::start();
    let (gateway, _) = start(&app, "http").await;
    let before = warm_up(&gateway).await;
    let began = Instant::now();
    let slow = open(&gateway, 1000, b"GET /open/slow HTTP/1.1\r\nHost: wiki.localhost\r\nX-Slow: ").await;
    let dawdling = || {
        for socket in &slow {
            // A byte now and then does not help.
            let _ = socket.try_write(b"y");
        }
        are_open(&slow)
    };
    others_are_served(&gateway, dawdling).await;
    assert_each(&gateway, before, 1000, 48);
    eventually_within(LONG, "they are cut", async || (!dawdling()).then_some(())).await;
    // What time it is for a connection is looked at once a second.
    assert!(began.elapsed() + Duration::from_secs(2) >= app.slowest, "cut after {:?}", began.elapsed());
    assert!(ends(slow).await.iter().all(Vec::is_empty), "no answer to half a head");
    probe(&gateway).await;
}

#[tokio::test]
async fn silent_visitors_cost_next_to_nothing_and_are_cut() {
    let app = App::start();
    let (gateway, _) = start(&app, "https").await;
    let before = resident(gateway.pid()).0;
    let silent = open(&gateway, 2000, b"").await;
    eventually_within(LONG, "all are accepted", async || (descriptors(gateway.pid()) > 2000).then_some(()))
        .await;
    assert_each(&gateway, before, 2000, 3);
    assert!(ends(silent).await.iter().all(Vec::is_empty));
}

#[tokio::test]
async fn three_hundred_slow_bodies_hold_up_nobody_and_are_cut() {
    let app = App::start();
    let (gateway, _) = start(&app, "http").await;
    let before = warm_up(&gateway).await;
    let head = format!(
        "POST /open/slow HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10000000\r\n\r\n{}",
        "x".repeat(1000)
    );
    let slow = open(&gateway, 300, head.as_bytes()).await;
    others_are_served(&gateway, || are_open(&slow)).await;
    assert_each(&gateway, before, 300, 96);
    for answer in ends(slow).await {
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 408 "), "{text}");
    }
    probe(&gateway).await;
}

#[tokio::test]
async fn a_hundred_slow_readers_hold_up_nobody_and_are_cut() {
    let app = App::start();
    let (gateway, _) = start(&app, "http").await;
    let before = warm_up(&gateway).await;
    let slow = open(&gateway, 100, &get("/open/large", "")).await;
    eventually_within(LONG, "all are answered", async || (app.pouring() == 100).then_some(())).await;
    others_are_served(&gateway, || app.pouring() == 100).await;
    // hyper reads 400 KiB of an answer at once, and copies them into a buffer that doubles when it grows.
    assert_each(&gateway, before, 100, 1536);
    // Cut, although each could go on reading now.
    eventually_within(LONG, "they are cut", async || (app.pouring() == 0).then_some(())).await;
    eventually_within(LONG, "nothing is kept", async || {
        (!slow.iter().any(|socket| is_kept(&gateway, socket))).then_some(())
    })
    .await;
    for socket in slow {
        let (came, reset) = end(socket).await;
        assert!(came.starts_with(b"HTTP/1.1 200 ") && reset, "{} bytes", came.len());
        // What the visitor's end held is all that comes: for one who reads nothing, nothing is kept at ours.
        assert!(came.len() < 512 * 1024, "{} bytes", came.len());
    }
    probe(&gateway).await;
}

#[tokio::test]
async fn nothing_is_kept_for_a_slow_reader_that_was_cut_whatever_it_speaks() {
    let app = App::start();
    let (gateway, authority) = start(&app, "https").await;
    let mut slow = Vec::new();
    for protocol in ["http/1.1", "h2"] {
        let mut config = (*authority.client()).clone();
        config.alpn_protocols = vec![protocol.into()];
        let name = rustls_pki_types::ServerName::try_from(HOST).unwrap();
        let tcp = connect(&gateway).await;
        slow.push((protocol, TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()));
    }
    slow[0].1.write_all(&get("/open/large", "")).await.unwrap();
    // Everything may be sent at once, as far as HTTP/2 goes.
    let mut frames = Frames::over(slow.pop().unwrap().1, &[(4, WIDE)]).await;
    frames.send(WINDOW, 0, 0, &(WIDE - 65_535).to_be_bytes()).await;
    let large = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/open/large")];
    for stream in (1..101).step_by(2) {
        frames.send(HEADERS, END_HEADERS | END_STREAM, stream, &block(&large)).await;
    }
    slow.push(("h2", frames.into_inner()));
    eventually_within(LONG, "all are answered", async || (app.pouring() == 51).then_some(())).await;
    assert!(slow.iter().all(|(_, socket)| is_kept(&gateway, socket.get_ref().0)));
    eventually_within(LONG, "they are cut", async || (app.pouring() == 0).then_some(())).await;
    // HTTP/2 ends the streams first, then the connection.
    eventually_within(LONG, "nothing is kept", async || {
        (!slow.iter().any(|(_, socket)| is_kept(&gateway, socket.get_ref().0))).then_some(())
    })
    .await;
    for (protocol, socket) in slow {
        let (came, reset) = end(socket).await;
        assert!(reset && came.len() < 512 * 1024, "{protocol}: {} bytes", came.len());
    }
}

#[tokio::test]
async fn a_form_of_ours_that_never_ends_is_given_up() {
    let app = App::start();
    let ((plain, _), (secure, authority)) = tokio::join!(start(&app, "http"), start(&app, "https"));
    let origin = format!("http://{HOST}:{}", plain.place.port);
    let head = format!("POST /.linkgate/login HTTP/1.1\r\nHost: {HOST}\r\nOrigin: {origin}\r\n");
    let form = async |rest: &str| {
        let mut socket = connect(&plain).await;
        socket.write_all(format!("{head}{rest}").as_bytes()).await.unwrap();
        let text = String::from_utf8_lossy(&end(socket).await.0).into_owned();
        assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("too-slow"), "{rest:?}: {text}");
    };
    let stream = async {
        let mut frames = Frames::connect(&authority, HOST, secure.place.port, &[]).await;
        let origin = format!("https://{HOST}:{}", secure.place.port);
        let head = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", HOST),
            (":path", "/.linkgate/login"),
            ("origin", &origin),
        ];
        frames.send(HEADERS, END_HEADERS, 1, &block(&head)).await;
        frames.send(DATA, 0, 1, b"email=").await;
        assert_eq!(frames.outcome(1).await, 408);
    };
    tokio::join!(
        form("Transfer-Encoding: chunked\r\n\r\n6\r\nemail=\r\n"),
        form("Content-Length: 50\r\n\r\nemail="),
        stream
    );
}

#[tokio::test]
async fn slow_readers_over_http2_cost_a_bounded_amount_a_stream_and_each_is_cut_alone() {
    let app = App::start();
    let (gateway, authority) = start(&app, "https").await;
    let request =
        |path| block(&[(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", path)]);
    let connect = || Frames::connect(&authority, HOST, gateway.place.port, &[(4, 1000)]);
    let mut warm = connect().await;
    for stream in (1..41).step_by(2) {
        warm.send(HEADERS, END_HEADERS | END_STREAM, stream, &request("/open/probe")).await;
        assert_eq!(warm.outcome(stream).await, 200);
    }
    let before = resident(gateway.pid()).0;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut frames = connect().await;
        for number in 0..60 {
            frames.send(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * number, &request("/open/large")).await;
        }
        slow.push(frames);
    }
    // Each gets a thousand bytes, and says nothing about more.
    for frames in &mut slow {
        let mut waiting = 60;
        while waiting > 0 {
            let frame = frames.next().await.expect("the connection goes on");
            assert!(frame.kind != RESET, "before its time: {frame:?}, {waiting} wait");
            waiting -= usize::from(frame.kind == DATA);
        }
    }
    assert_each(&gateway, before, 180, 160);
    for frames in &mut slow {
        let mut open = 60;
        while open > 0 {
            let frame = frames.next().await.expect("the connection goes on");
            open -= usize::from(frame.kind == RESET);
        }
        frames.send(HEADERS, END_HEADERS | END_STREAM, 121, &request("/open/probe")).await;
        assert_eq!(frames.outcome(121).await, 200, "the connection is none the worse for it");
    }
}

#[tokio::test]
async fn two_thousand_idle_connections_cost_little_and_are_all_answered_again() {
    let app = App::start();
    let (gateway, _) = start(&app, "http").await;
    let before = warm_up(&gateway).await;
    let mut idle = Vec::new();
    // By the hundred, so that not two thousand connections to the app are measured with them.
    while idle.len() < 2000 {
        let mut some = open(&gateway, 100, &get("/open/idle", "")).await;
        for socket in &mut some {
            answered(socket).await;
        }
        idle.extend(some);
    }
    for _ in 0..2 {
        // Parked after two seconds without a request, they give back what they needed: some 30 KiB each.
        eventually_within(LONG, "they cost little", async || {
            let after = resident(gateway.pid()).0;
            (after.saturating_sub(before) / 2000 < 8).then_some(())
        })
        .await;
        probe(&gateway).await;
        for some in idle.chunks_mut(100) {
            for socket in some.iter_mut() {
                socket.write_all(&get("/open/again", "")).await.unwrap();
            }
            for socket in some {
                answered(socket).await;
            }
        }
    }
}

async fn answered(socket: &mut TcpStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"xxx") {
        let read = timeout(LONG, socket.read_buf(&mut answer)).await.expect("an answer").unwrap();
        assert!(read > 0, "closed after {}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
}
