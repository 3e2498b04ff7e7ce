//! What is larger than memory passes in constant memory. As large as `SLOW_BYTES` says; `tests/slow.sh` says
//! ten gibibytes and keeps what is printed.

use crate::harness::given;
use crate::harness::h2::Fed;
use crate::harness::h2::H2;
use crate::harness::h2::whole;
use crate::harness::noise::Noise;
use crate::harness::noise::PIECE;
use crate::harness::process;
use crate::harness::stage::ALICE;
use crate::harness::stage::Stage;
use crate::harness::stage::Wire;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// How much more than before it began may be resident, however large the body.
const GROWTH_KIB: u64 = 16 * 1024;

#[derive(Clone, Copy)]
enum Framed {
    Length,
    Chunks,
}

fn size() -> u64 {
    given("SLOW_BYTES", 256 << 20)
}

/// Writes `size` bytes of noise.
async fn pour(wire: &mut Wire, noise: &Noise, size: u64, framed: Framed) {
    let mut sent = 0;
    while sent < size {
        let piece = noise.at(sent, usize::try_from(size - sent).unwrap());
        match framed {
            Framed::Length => wire.tcp.write_all(piece).await.unwrap(),
            Framed::Chunks => {
                wire.tcp.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
                wire.tcp.write_all(piece).await.unwrap();
                wire.tcp.write_all(b"\r\n").await.unwrap();
            }
        }
        sent += piece.len() as u64;
    }
    if matches!(framed, Framed::Chunks) {
        wire.tcp.write_all(b"0\r\n\r\n").await.unwrap();
    }
}

/// Reads `size` bytes and looks at every one.
async fn drink(wire: &mut Wire, noise: &Noise, size: u64, framed: Framed) {
    let mut got = 0;
    let mut buffer = vec![0; PIECE];
    while got < size {
        let length = match framed {
            Framed::Length => {
                let want = usize::try_from(size - got).unwrap().min(PIECE);
                let read = wire.tcp.read(&mut buffer[..want]).await.unwrap();
                assert_ne!(read, 0, "it ends after {got} of {size} bytes");
                read
            }
            Framed::Chunks => {
                let line = wire.until("\r\n").await;
                let length = usize::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("{line:?}"));
                assert_ne!(length, 0, "it ends after {got} of {size} bytes");
                let bytes = wire.bytes(length + 2).await;
                buffer.resize(length.max(PIECE), 0);
                buffer[..length].copy_from_slice(&bytes[..length]);
                length
            }
        };
        for (at, piece) in buffer[..length].chunks(PIECE).enumerate() {
            let from = got + (at * PIECE) as u64;
            assert!(piece == noise.at(from, piece.len()), "another byte within {PIECE} of {from}");
        }
        got += length as u64;
    }
    if matches!(framed, Framed::Chunks) {
        assert_eq!(wire.until("0\r\n\r\n").await, "0\r\n\r\n");
    }
}

/// Does it, and says what it cost.
async fn measured(what: &str, stage: &Stage, size: u64, work: impl Future<Output = ()>) {
    let pid = stage.gateway.pid();
    process::forget_peak(pid);
    let (before, _) = process::resident(pid);
    let (begun, used) = (Instant::now(), process::processor(pid));
    work.await;
    let (seconds, used) = (begun.elapsed().as_secs_f64(), process::processor(pid) - used);
    let (_, peak) = process::resident(pid);
    let growth = peak.saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "for reading")]
    let mebibytes = size as f64 / f64::from(1 << 20);
    println!(
        "slow: {what}: {mebibytes:.0} MiB in {seconds:.1} s, {:.0} MiB/s, {used:.1} s of processor time, \
         {before} KiB resident before, at most {growth} KiB more",
        mebibytes / seconds
    );
    assert!(growth < GROWTH_KIB, "{what}: {growth} KiB more than the {before} KiB before it began");
}

#[tokio::test]
async fn a_download_larger_than_memory_passes_in_constant_memory() {
    let stage = Stage::start().await;
    let (noise, size) = (Arc::new(Noise::new(7)), size());
    for (framed, name, head) in [
        (Framed::Length, "a length", format!("content-length: {size}")),
        (Framed::Chunks, "chunks", "transfer-encoding: chunked".to_owned()),
    ] {
        let mut visitor = stage.visitor().await;
        visitor.say(stage.request("GET /big", "connection: close\r\n")).await;
        let mut app = stage.app().await;
        assert!(app.until("\r\n\r\n").await.contains(&format!("\r\nremote-user: {ALICE}\r\n")));
        app.say(format!("HTTP/1.1 200 OK\r\n{head}\r\nconnection: close\r\n\r\n")).await;
        visitor.until("\r\n\r\n").await;
        let from = Arc::clone(&noise);
        let pouring = tokio::spawn(async move { pour(&mut app, &from, size, framed).await });
        measured(&format!("download with {name}"), &stage, size, drink(&mut visitor, &noise, size, framed))
            .await;
        pouring.await.unwrap();
        assert!(visitor.rest().await.is_empty());
    }
}

#[tokio::test]
async fn an_upload_larger_than_memory_passes_in_constant_memory() {
    let stage = Stage::start().await;
    let (noise, size) = (Arc::new(Noise::new(8)), size());
    for (framed, name, head) in [
        (Framed::Length, "a length", format!("content-length: {size}\r\n")),
        (Framed::Chunks, "chunks", "transfer-encoding: chunked\r\n".to_owned()),
    ] {
        let mut visitor = stage.visitor().await;
        visitor.say(stage.request("PUT /big", &format!("{head}connection: close\r\n"))).await;
        let mut app = stage.app().await;
        app.until("\r\n\r\n").await;
        let from = Arc::clone(&noise);
        let pouring = tokio::spawn(async move {
            pour(&mut visitor, &from, size, framed).await;
            visitor
        });
        measured(&format!("upload with {name}"), &stage, size, drink(&mut app, &noise, size, framed)).await;
        app.say(OK.replace("content-length", "connection: close\r\ncontent-length")).await;
        let mut visitor = pouring.await.unwrap();
        visitor.until("\r\n\r\nok").await;
    }
}

#[tokio::test]
async fn the_same_over_http_2_and_tls() {
    let stage = Stage::secure("http", "").await;
    let (noise, size) = (Arc::new(Noise::new(9)), size());
    let visitor = H2::connect(&stage).await;
    let answer = visitor.start(visitor.request("GET", "/big"));
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    app.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n")).await;
    let mut body = answer.head().await.into_body();
    let from = Arc::clone(&noise);
    let pouring = tokio::spawn(async move {
        pour(&mut app, &from, size, Framed::Length).await;
        app
    });
    measured("download over HTTP/2 and TLS", &stage, size, async {
        let mut got = 0;
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap_or_default();
            assert!(data == noise.at(got, data.len()), "another byte within {} of {got}", data.len());
            got += data.len() as u64;
        }
        assert_eq!(got, size);
    })
    .await;
    let mut app = pouring.await.unwrap();

    let (feed, answer) = visitor.send(visitor.request("PUT", "/big"));
    app.until("\r\n\r\n").await;
    let from = Arc::clone(&noise);
    let pouring = tokio::spawn(async move {
        let mut sent = 0;
        while sent < size {
            let piece = from.at(sent, usize::try_from(size - sent).unwrap());
            sent += piece.len() as u64;
            feed.send(Frame::data(Bytes::copy_from_slice(piece))).await.unwrap();
        }
    });
    measured("upload over HTTP/2 and TLS", &stage, size, drink(&mut app, &noise, size, Framed::Chunks)).await;
    app.say(OK).await;
    assert_eq!(whole(answer.head().await).await.body, "ok");
    pouring.await.unwrap();
}

/// `/down` pours, anything else drinks; both compare.
async fn app(
    request: hyper::Request<hyper::body::Incoming>,
    noise: Arc<Noise>,
    size: u64,
) -> Result<hyper::Response<Fed>, hyper::Error> {
    let (feed, pieces) = tokio::sync::mpsc::channel(1);
    if request.uri().path() == "/down" {
        tokio::spawn(async move {
            let mut sent = 0;
            while sent < size {
                let piece = noise.at(sent, usize::try_from(size - sent).unwrap());
                sent += piece.len() as u64;
                feed.send(Frame::data(Bytes::copy_from_slice(piece))).await.unwrap();
            }
        });
    } else {
        let mut body = request.into_body();
        let mut got = 0;
        while let Some(frame) = body.frame().await {
            let data = frame?.into_data().unwrap_or_default();
            assert!(data == noise.at(got, data.len()), "another byte within {} of {got}", data.len());
            got += data.len() as u64;
        }
        assert_eq!(got, size);
        drop(feed);
    }
    Ok(hyper::Response::new(Fed(Some(pieces))))
}

#[tokio::test]
async fn the_same_to_an_app_that_speaks_http_2() {
    let stage = Stage::with_scheme("h2c").await;
    let (noise, size) = (Arc::new(Noise::new(10)), size());
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request("GET /down", "")).await;
    let tcp = stage.app().await.tcp;
    let shared = Arc::clone(&noise);
    let service = hyper::service::service_fn(move |request| app(request, Arc::clone(&shared), size));
    let builder = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
    let serving = tokio::spawn(builder.serve_connection(hyper_util::rt::TokioIo::new(tcp), service));
    let head = visitor.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("transfer-encoding: chunked"), "{head}");
    let work = drink(&mut visitor, &noise, size, Framed::Chunks);
    measured("download from HTTP/2", &stage, size, work).await;

    visitor.say(stage.request("PUT /up", &format!("content-length: {size}\r\n"))).await;
    let work = async {
        pour(&mut visitor, &noise, size, Framed::Length).await;
        let answer = visitor.until("0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    };
    measured("upload to HTTP/2", &stage, size, work).await;
    serving.abort();
}
