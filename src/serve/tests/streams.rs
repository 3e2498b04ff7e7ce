//! HTTP/2: what it is for, and what it can be abused for, in frames of our own.

use super::*;

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const FLOW_CONTROL_ERROR: u32 = 3;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// The number that a reset, a goodbye or a window carries.
    fn number(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A client that does as it is told, frame by frame.
struct Client(Tls);

impl Client {
    async fn open(secure: &Secure, settings: &[(u16, u32)]) -> Self {
        let mut socket = tls(secure, "localhost", b"h2").await.unwrap();
        socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut client = Self(socket);
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(key, value)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        client.send(SETTINGS, 0, 0, &settings).await;
        client
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.write_all(&frame(kind, flags, stream, payload)).await.unwrap();
    }

    async fn ask(&mut self, stream: u32, path: &str, end: bool) {
        let end = if end { END_STREAM } else { 0 };
        let method = if end == 0 { "POST" } else { "GET" };
        self.send(HEADERS, END_HEADERS | end, stream, &head(method, path)).await;
    }

    /// The next frame; `None` at the end of the connection. Settings and pings are answered.
    async fn next(&mut self) -> Option<Frame> {
        let frame = self.read().await?;
        if matches!(frame.kind, SETTINGS | PING) && frame.flags == 0 {
            let payload = if frame.kind == PING { frame.payload.as_slice() } else { &[] };
            // It may be gone.
            let _ = self.0.write_all(&super::streams::frame(frame.kind, ACK, 0, payload)).await;
        }
        Some(frame)
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame of that kind on that stream.
    async fn wait(&mut self, kind: u8, stream: u32) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection goes on");
            if (frame.kind, frame.stream) == (kind, stream) {
                return frame;
            }
            assert!(frame.kind != GOAWAY, "{frame:?}");
        }
    }

    /// The reason of the goodbye, after which the connection ends.
    async fn goodbye(&mut self) -> u32 {
        let mut reason = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                reason = Some(frame.number());
            }
        }
        reason.expect("a goodbye before the end")
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request's head in literals without indexing: nothing to remember between two.
fn head(method: &str, path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in
        [(":method", method), (":scheme", "https"), (":path", path), (":authority", "localhost")]
    {
        block.extend(literal(name, value));
    }
    block
}

/// One header in a literal; both texts are shorter than 127 bytes.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

#[tokio::test]
async fn http2_is_served_checked_and_drained() {
    let secure = secure(Vec::new());
    let socket = tls(&secure, "localhost", b"h2").await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = |uri: &str, host: Option<&str>| {
        let mut request = Request::get(uri).body(Full::new(Bytes::new())).unwrap();
        if let Some(host) = host {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        request
    };
    let answer = client.send_request(request("https://localhost/a", None)).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "first tls h2 /a");
    let answer = client.send_request(request("https://localhost/a", Some("other"))).await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(client.send_request(request("https://localhost/panic", None)).await.is_err());
    assert_eq!(secure.server.counters().panics.load(Relaxed), 1);
    let waiting = tokio::spawn(client.send_request(request("https://localhost/wait", None)));
    secure.house.entered.acquire().await.unwrap().forget();
    let release = async {
        while TcpStream::connect(secure.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        secure.house.released.add_permits(1);
    };
    let (cut, ()) = tokio::join!(secure.server.drain(), release);
    assert_eq!(cut, 0);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_client_may_do_is_announced_and_streams_beyond_it_are_refused() {
    let secure = secure(Vec::new());
    let mut client = Client::open(&secure, &[]).await;
    let settings = client.wait(SETTINGS, 0).await;
    let pairs: Vec<(u16, u32)> = settings
        .payload
        .chunks_exact(6)
        .map(|pair| {
            (u16::from_be_bytes([pair[0], pair[1]]), u32::from_be_bytes(pair[2..].try_into().unwrap()))
        })
        .collect();
    let limits = Limits::default();
    assert!(pairs.contains(&(3, limits.h2_streams)), "{pairs:?}");
    assert!(pairs.contains(&(6, u32::try_from(limits.max_header_bytes).unwrap())), "{pairs:?}");
    let streams = limits.h2_streams;
    for number in 0..streams + 5 {
        client.ask(1 + 2 * number, "/wait", true).await;
    }
    for number in streams..streams + 5 {
        assert_eq!(client.wait(RESET, 1 + 2 * number).await.number(), REFUSED_STREAM);
    }
    secure.house.entered.acquire_many(streams).await.unwrap().forget();
    assert_eq!(secure.house.entered.available_permits(), 0);
    secure.house.released.add_permits(streams as usize);
    client.wait(HEADERS, 1).await;
    secure.server.drain().await;
}

#[tokio::test]
async fn a_mebibyte_may_be_sent_before_anything_is_read_of_it_and_no_more() {
    let secure = secure(Vec::new());
    let mut client = Client::open(&secure, &[]).await;
    // The connection's own window starts at 65,535 and is widened at once.
    let widened = client.wait(WINDOW, 0).await.number();
    assert_eq!(widened + 65_535, 1024 * 1024);
    // What we announce holds once the client has heard of it.
    client.send(PING, 0, 0, &[7; 8]).await;
    while client.next().await.unwrap().kind != PING {}
    client.ask(1, "/wait", false).await;
    secure.house.entered.acquire().await.unwrap().forget();
    for _ in 0..64 {
        client.send(DATA, 0, 1, &[b'x'; 16 * 1024]).await;
    }
    client.send(PING, 0, 0, &[7; 8]).await;
    while client.next().await.unwrap().kind != PING {}
    client.send(DATA, END_STREAM, 1, b"x").await;
    assert_eq!(client.goodbye().await, FLOW_CONTROL_ERROR);
    secure.server.drain().await;
}

#[tokio::test]
async fn a_client_that_resets_what_it_asks_is_shown_the_door() {
    let secure = secure(Vec::new());
    let mut client = Client::open(&secure, &[]).await;
    let mut flood = Vec::new();
    for number in 0..2000 {
        flood.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * number, &head("GET", "/wait")));
        flood.extend(frame(RESET, 0, 1 + 2 * number, &CANCEL.to_be_bytes()));
    }
    // It may be gone before it has read everything.
    let _ = client.0.write_all(&flood).await;
    assert_eq!(client.goodbye().await, ENHANCE_YOUR_CALM);
    let entered = secure.house.entered.available_permits();
    assert!(entered <= 100, "{entered} requests reached the gate");
    secure.server.drain().await;
}

#[tokio::test]
async fn a_client_that_makes_us_reset_streams_is_shown_the_door() {
    let secure = secure(Vec::new());
    let mut client = Client::open(&secure, &[]).await;
    let mut flood = Vec::new();
    for number in 0..2000 {
        let stream = 1 + 2 * number;
        // Fields of a connection have no place in HTTP/2: an error of the stream.
        let head = [head("GET", "/wait"), literal("connection", "close")].concat();
        flood.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
    }
    let _ = client.0.write_all(&flood).await;
    assert_eq!(client.goodbye().await, ENHANCE_YOUR_CALM);
    secure.server.drain().await;
}

#[tokio::test]
async fn a_head_without_end_is_cut_off_however_it_comes() {
    let secure = secure(Vec::new());
    for (name, part) in [("a", vec![0; 16 * 1024]), ("empty", Vec::new()), ("one", vec![0x82])] {
        let mut client = Client::open(&secure, &[]).await;
        let mut flood = frame(HEADERS, END_STREAM, 1, &head("GET", "/a"));
        for _ in 0..20_000 {
            flood.extend(frame(CONTINUATION, 0, 1, &part));
            if flood.len() > 8 * 1024 * 1024 {
                break;
            }
        }
        let _ = client.0.write_all(&flood).await;
        let mut last = None;
        while let Some(frame) = client.next().await {
            assert!(frame.kind != HEADERS, "{name}: {frame:?}");
            if frame.kind == GOAWAY {
                last = Some(frame.number());
            }
        }
        // Where much was still on its way, the goodbye is lost with the connection.
        assert!(last.is_none_or(|reason| reason != 0), "{name}: {last:?}");
    }
    assert_eq!(secure.server.counters().timed_out.load(Relaxed), 0, "not for its slowness");
    secure.server.drain().await;
}

#[tokio::test]
async fn heads_of_too_many_bytes_or_lines_are_answered_with_431() {
    let secure = secure(Vec::new());
    let mut client = Client::open(&secure, &[(1, 0)]).await;
    let mut many = head("GET", "/a");
    for number in 0..=Limits::default().max_headers {
        many.extend(literal(&format!("x-{number}"), "y"));
    }
    client.send(HEADERS, END_HEADERS | END_STREAM, 1, &many).await;
    let mut large = head("GET", "/a");
    large.extend(literal("x-long", &"y".repeat(120)));
    let each = large.split_off(head("GET", "/a").len());
    client.send(HEADERS, END_STREAM, 3, &large).await;
    let more = each.repeat(100);
    for _ in 0..5 {
        client.send(CONTINUATION, 0, 3, &more).await;
    }
    client.send(CONTINUATION, END_HEADERS, 3, &each).await;
    let mut open = vec![1, 3];
    while !open.is_empty() {
        let frame = client.next().await.unwrap();
        if frame.kind == HEADERS {
            // Nothing is indexed, as there is no table: the digits are there.
            assert!(frame.payload.windows(3).any(|bytes| bytes == huffman_431()), "{frame:?}");
            open.retain(|stream| *stream != frame.stream);
        }
    }
    client.ask(5, "/a", true).await;
    client.wait(HEADERS, 5).await;
    secure.server.drain().await;
}

/// "431" in HPACK's Huffman code: 011010 011001 00001, padded with ones.
fn huffman_431() -> [u8; 3] {
    [0b0110_1001, 0b1001_0000, 0b1111_1111]
}

#[tokio::test]
async fn control_frames_are_not_kept_for_a_client_that_reads_no_answer_to_them() {
    let short = Limits { body_timeout: Duration::from_millis(1500), ..Limits::default() };
    let secure = secure_with(Vec::new(), short);
    for flood in [frame(PING, 0, 0, &[1; 8]), frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1])] {
        let mut client = Client::open(&secure, &[]).await;
        let flood = flood.repeat(10_000);
        // Sockets hold some megabytes of answers; after that nothing more is read, and the connection ends.
        let mut sent = 0;
        while client.0.write_all(&flood).await.is_ok() {
            sent += flood.len();
            assert!(sent < 256 * 1024 * 1024, "{sent} bytes of control frames were taken");
        }
    }
    assert_eq!(secure.server.counters().timed_out.load(Relaxed), 2);
    secure.server.drain().await;
}

#[tokio::test]
async fn a_connection_without_requests_ends_however_much_is_said_on_it() {
    let short = Limits { idle_timeout: Duration::from_millis(1500), ..Limits::default() };
    let secure = secure_with(Vec::new(), short);
    let mut client = Client::open(&secure, &[]).await;
    client.ask(1, "/a", true).await;
    client.wait(DATA, 1).await;
    let (began, mut reason) = (Instant::now(), None);
    let mut pings = tokio::time::interval(Duration::from_millis(200));
    while reason.is_none() {
        pings.tick().await;
        // As it answers ours, every twenty seconds.
        client.send(PING, 0, 0, &[2; 8]).await;
        loop {
            let frame = client.next().await.expect("a goodbye before the end");
            match frame.kind {
                GOAWAY => break reason = Some(frame.number()),
                PING if frame.flags == ACK => break,
                _ => {}
            }
        }
        assert!(began.elapsed() < Duration::from_secs(15), "still open");
    }
    assert_eq!(reason, Some(0));
    secure.server.drain().await;
}

#[tokio::test]
async fn an_answer_that_is_not_taken_ends_alone() {
    let short = Limits { body_timeout: Duration::from_millis(1500), ..Limits::default() };
    let secure = secure_with(Vec::new(), short);
    // Each stream may send a thousand bytes, until it is told more.
    let mut client = Client::open(&secure, &[(4, 1000)]).await;
    for stream in [1, 3, 5] {
        client.ask(stream, "/large", true).await;
    }
    client.ask(7, "/wait", true).await;
    for stream in [1, 3, 5] {
        assert_eq!(client.wait(RESET, stream).await.number(), CANCEL);
    }
    assert_eq!(secure.server.counters().timed_out.load(Relaxed), 3);
    // What runs, and what is asked now, is none the worse for it; nor is one that is taken slowly.
    secure.house.released.add_permits(1);
    let answer = client.wait(DATA, 7).await;
    assert!(answer.payload.ends_with(b"/wait") && answer.flags & END_STREAM != 0);
    client.ask(9, "/large", true).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        client.wait(DATA, 9).await;
        client.send(WINDOW, 0, 9, &1000_u32.to_be_bytes()).await;
        client.send(WINDOW, 0, 0, &1000_u32.to_be_bytes()).await;
    }
    assert_eq!(secure.server.counters().timed_out.load(Relaxed), 3);
    secure.server.drain().await;
}

#[tokio::test]
async fn a_visitor_that_leaves_the_ends_of_answers_with_us_loses_the_connection() {
    let short = Limits { body_timeout: Duration::from_millis(1500), ..Limits::default() };
    let secure = secure_with(Vec::new(), short);
    // One byte of each answer is taken: all of it counts as sent then, and waits with us.
    let mut client = Client::open(&secure, &[(4, 1)]).await;
    for stream in [1, 3, 5] {
        client.ask(stream, "/a", true).await;
        assert_eq!(client.wait(DATA, stream).await.payload.len(), 1);
    }
    let end = async {
        while let Some(frame) = client.next().await {
            assert_eq!(frame.kind, PING, "{frame:?}");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), end).await.expect("an end");
    assert_eq!(secure.server.counters().timed_out.load(Relaxed), 1);

    // Nobody is the worse for a window of one byte who widens it in time.
    let mut client = Client::open(&secure, &[(4, 1)]).await;
    let (began, mut stream) = (Instant::now(), 1);
    while began.elapsed() < Duration::from_secs(5) {
        client.ask(stream, "/a", true).await;
        client.wait(DATA, stream).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.send(WINDOW, 0, stream, &1000_u32.to_be_bytes()).await;
        assert_eq!(client.wait(DATA, stream).await.flags & END_STREAM, END_STREAM);
        stream += 2;
    }
    assert_eq!(secure.server.counters().timed_out.load(Relaxed), 1);
    secure.server.drain().await;
}

/// Asks fifty times, and changes its mind once they are heard; false when the connection ended, or is to end and the
/// client minds.
async fn change_mind(client: &mut Client, first: u32, minds: bool) -> bool {
    let streams = (0..50).map(|number| first + 2 * number);
    let asking = streams
        .clone()
        .flat_map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", "/wait")));
    let regret = streams.flat_map(|stream| frame(RESET, 0, stream, &CANCEL.to_be_bytes()));
    for flood in [asking.collect::<Vec<_>>(), regret.collect()] {
        let ping = frame(PING, 0, 0, b"heard it");
        if client.0.write_all(&[flood, ping].concat()).await.is_err() {
            return false;
        }
        loop {
            // Who does not mind leaves even pings without an answer.
            let frame = if minds { client.next().await } else { client.read().await };
            match frame {
                None => return false,
                Some(frame) if minds && frame.kind == GOAWAY => return false,
                Some(frame) if frame.kind == PING && frame.payload == b"heard it" => break,
                Some(_) => {}
            }
        }
    }
    true
}

#[tokio::test]
async fn a_client_that_changes_its_mind_once_it_was_heard_is_shown_the_door() {
    let secure = secure(Vec::new());
    for (minds, most) in [(true, 300), (false, 500)] {
        let mut client = Client::open(&secure, &[]).await;
        let mut rounds = 0;
        while change_mind(&mut client, 1 + rounds * 100, minds).await {
            rounds += 1;
            assert!(rounds < 20, "{rounds} rounds");
        }
        let entered = secure.house.entered.available_permits();
        assert!((150..=most).contains(&entered), "{entered} requests reached the gate");
        secure.house.entered.acquire_many(u32::try_from(entered).unwrap()).await.unwrap().forget();
    }
    // As many are nothing among more that were waited for.
    let mut client = Client::open(&secure, &[]).await;
    for stream in 0..600 {
        client.ask(1 + 2 * stream, "/a", true).await;
        client.wait(DATA, 1 + 2 * stream).await;
    }
    for round in 0..6 {
        assert!(change_mind(&mut client, 1201 + round * 100, true).await);
    }
    secure.server.drain().await;
}
