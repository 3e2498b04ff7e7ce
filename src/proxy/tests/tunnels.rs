//! Two ends of memory joined by a tunnel: every byte is dictated and read by the test.

use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::DuplexStream;
use tokio::io::duplex;
use tokio::runtime::LocalOptions;
use tokio::task::JoinHandle;
use tokio::task::spawn_local;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::proxy::open::Hold;
use crate::proxy::open::Order;
use crate::proxy::open::Tenths;
use crate::proxy::tunnel::Joined;
use crate::proxy::tunnel::Running;
use crate::proxy::way::Scratch;

const PATIENCE: Duration = Duration::from_secs(10);
const MASK: [u8; 4] = [1, 2, 3, 4];

/// `Hi` as a server, and as a client, sends it.
const FROM_APP: &[u8] = b"\x81\x02Hi";
const FROM_VISITOR: &[u8] = b"\x81\x82\x00\x00\x00\x00Hi";

struct Ends {
    visitor: DuplexStream,
    app: DuplexStream,
    hold: Rc<Hold>,
    tenths: Tenths,
    tunnel: JoinHandle<()>,
}

fn join(frames: bool, early: &[u8], room: usize) -> Ends {
    let (visitor, outer) = duplex(room);
    let (app, inner) = duplex(room);
    let (hold, tenths) = (Rc::new(Hold::default()), Tenths::default());
    let shared = (Rc::clone(&hold), tenths.clone());
    let tunnel = spawn_local(Joined::new(outer, (inner, early), frames, Scratch::default(), shared, MASK));
    Ends { visitor, app, hold, tenths, tunnel }
}

fn on_a_worker(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async { timeout(PATIENCE, test).await.expect("the test's event comes") });
}

async fn read(from: &mut DuplexStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn rest(from: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// Lets the tunnel do all it can without the test.
async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

#[test]
fn what_was_read_with_the_answer_comes_first_and_each_end_is_passed_on_alone() {
    on_a_worker(async {
        let mut ends = join(false, b"early", 64);
        ends.app.write_all(b" bird").await.unwrap();
        assert_eq!(read(&mut ends.visitor, 10).await, b"early bird");
        ends.app.shutdown().await.unwrap();
        assert_eq!(rest(&mut ends.visitor).await, b"");
        // The other way goes on.
        ends.visitor.write_all(b"still here").await.unwrap();
        assert_eq!(read(&mut ends.app, 10).await, b"still here");
        ends.visitor.shutdown().await.unwrap();
        assert_eq!(rest(&mut ends.app).await, b"");
        ends.tunnel.await.unwrap();
    });
}

#[test]
fn a_side_that_breaks_off_ends_the_other() {
    on_a_worker(async {
        let mut ends = join(true, b"", 64);
        ends.app.write_all(FROM_APP).await.unwrap();
        assert_eq!(read(&mut ends.visitor, 4).await, FROM_APP);
        drop(ends.visitor);
        assert_eq!(rest(&mut ends.app).await, b"");
    });
}

#[test]
fn a_forbidden_websocket_is_told_1008_on_both_sides_between_two_frames() {
    on_a_worker(async {
        let mut ends = join(true, b"", 64);
        ends.app.write_all(FROM_APP).await.unwrap();
        ends.visitor.write_all(FROM_VISITOR).await.unwrap();
        assert_eq!(read(&mut ends.visitor, 4).await, FROM_APP);
        assert_eq!(read(&mut ends.app, 8).await, FROM_VISITOR);
        ends.hold.give(Order::Forbidden);
        assert_eq!(rest(&mut ends.visitor).await, b"\x88\x17\x03\xf0the session has ended");
        let told = rest(&mut ends.app).await;
        assert_eq!(told[..8], [0x88, 0x80 | 0x17, 1, 2, 3, 4, 0x03 ^ 1, 0xf0 ^ 2]);
        drop((ends.visitor, ends.app));
        ends.tunnel.await.unwrap();
    });
}

#[test]
fn a_frame_under_way_is_finished_first_and_nothing_follows_it_but_the_end() {
    on_a_worker(async {
        let mut ends = join(true, b"", 1024);
        ends.app.write_all(b"\x81\x05Hel").await.unwrap();
        assert_eq!(read(&mut ends.visitor, 5).await, b"\x81\x05Hel");
        ends.hold.give(Order::Forbidden);
        settle().await;
        // The rest of the frame, and more that came too late.
        ends.app.write_all(b"lo\x81\x02no").await.unwrap();
        assert_eq!(rest(&mut ends.visitor).await, b"lo\x88\x17\x03\xf0the session has ended");
    });
}

#[test]
fn a_frame_that_never_ends_is_not_waited_for() {
    on_a_worker(async {
        let mut ends = join(true, b"", 1024);
        ends.app.write_all(b"\x81\x05Hel").await.unwrap();
        assert_eq!(read(&mut ends.visitor, 5).await, b"\x81\x05Hel");
        let begun = tokio::time::Instant::now();
        ends.hold.give(Order::Forbidden);
        assert_eq!(rest(&mut ends.visitor).await, b"");
        assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
        ends.tunnel.await.unwrap();
    });
}

#[test]
fn the_rest_of_a_frame_is_not_taken_from_somebody_who_is_out() {
    on_a_worker(async {
        let mut ends = join(true, b"", 1024);
        ends.visitor.write_all(&FROM_VISITOR[..7]).await.unwrap();
        assert_eq!(read(&mut ends.app, 7).await, FROM_VISITOR[..7]);
        ends.hold.give(Order::Forbidden);
        ends.visitor.write_all(b"i").await.unwrap();
        assert_eq!(rest(&mut ends.visitor).await, b"\x88\x17\x03\xf0the session has ended");
        drop(ends.visitor);
        assert_eq!(rest(&mut ends.app).await, b"", "neither the rest nor a frame within a frame");
    });
}

#[test]
fn who_is_told_to_go_elsewhere_may_finish_the_frame() {
    on_a_worker(async {
        let mut ends = join(true, b"", 1024);
        ends.visitor.write_all(&FROM_VISITOR[..7]).await.unwrap();
        assert_eq!(read(&mut ends.app, 7).await, FROM_VISITOR[..7]);
        ends.hold.give(Order::Leaving);
        assert_eq!(read(&mut ends.visitor, 14).await, b"\x88\x0c\x03\xe9restarting");
        ends.visitor.write_all(b"i").await.unwrap();
        let told = rest(&mut ends.app).await;
        assert_eq!(told[..5], [b'i', 0x88, 0x8c, 1, 2]);
    });
}

#[test]
fn after_a_close_frame_no_second_one_is_sent() {
    on_a_worker(async {
        let mut ends = join(true, b"", 1024);
        ends.app.write_all(b"\x88\x02\x03\xe8").await.unwrap();
        assert_eq!(read(&mut ends.visitor, 4).await, b"\x88\x02\x03\xe8");
        ends.hold.give(Order::Forbidden);
        assert_eq!(rest(&mut ends.visitor).await, b"");
    });
}

#[test]
fn any_other_protocol_is_closed_without_a_word() {
    on_a_worker(async {
        let mut ends = join(false, b"", 1024);
        ends.app.write_all(b"\x81\x02Hi").await.unwrap();
        assert_eq!(read(&mut ends.visitor, 4).await, b"\x81\x02Hi");
        ends.hold.give(Order::Forbidden);
        assert_eq!(rest(&mut ends.visitor).await, b"");
        assert_eq!(rest(&mut ends.app).await, b"");
        ends.tunnel.await.unwrap();
    });
}

#[test]
fn a_visitor_who_reads_nothing_does_not_keep_the_tunnel_open() {
    on_a_worker(async {
        let mut ends = join(true, b"", 16);
        let flood = [FROM_APP; 100].concat();
        ends.app.write_all(&flood[..48]).await.unwrap();
        settle().await;
        ends.hold.give(Order::Forbidden);
        ends.tunnel.await.unwrap();
        let read = rest(&mut ends.visitor).await;
        assert_eq!(read, flood[..16], "what was in the pipe, and then its end");
    });
}

#[test]
fn a_tunnel_at_rest_is_small() {
    // With both sockets, but for what the visitor's connection has on the heap.
    let size = size_of::<Running<[usize; 2]>>();
    assert!(size <= 360, "{size} bytes");
}

#[test]
fn what_moves_is_stamped() {
    on_a_worker(async {
        let mut ends = join(true, b"", 64);
        settle().await;
        ends.tenths.set(70);
        settle().await;
        assert_eq!(ends.hold.moved(), 0);
        ends.visitor.write_all(FROM_VISITOR).await.unwrap();
        read(&mut ends.app, 8).await;
        assert_eq!(ends.hold.moved(), 70);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_byte_arrives_in_order_whatever_the_pace(
        down in prop::collection::vec(any::<u8>(), 0..200_000),
        up in prop::collection::vec(any::<u8>(), 0..200_000),
        room in 1..20_000usize,
        step in 1..9_000usize,
        frames in any::<bool>(),
    ) {
        on_a_worker(async move {
            let Ends { visitor, app, tunnel, .. } = join(frames, b"", room);
            let (mut visitor, mut visitor_says) = tokio::io::split(visitor);
            let (mut app, mut app_says) = tokio::io::split(app);
            let (sent_down, sent_up) = (down.clone(), up.clone());
            let saying = spawn_local(async move {
                app_says.write_all(&sent_down).await.unwrap();
                app_says.shutdown().await.unwrap();
            });
            let answering = spawn_local(async move {
                for piece in sent_up.chunks(step) {
                    visitor_says.write_all(piece).await.unwrap();
                    yield_now().await;
                }
                visitor_says.shutdown().await.unwrap();
            });
            let hearing = spawn_local(async move {
                let mut heard = Vec::new();
                app.read_to_end(&mut heard).await.unwrap();
                heard
            });
            let mut heard = Vec::new();
            visitor.read_to_end(&mut heard).await.unwrap();
            assert!(heard == down, "{} of {} bytes down", heard.len(), down.len());
            let heard = hearing.await.unwrap();
            assert!(heard == up, "{} of {} bytes up", heard.len(), up.len());
            for task in [saying, answering, tunnel] {
                task.await.unwrap();
            }
        });
    }
}
