//! Two sockets that were taken out of HTTP, joined. A WebSocket that has to end is told so between two frames, on both
//! sides; anything else is closed. Holds no buffer while nothing waits, and sets no timer but for the end.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http::Extensions;
use hyper::upgrade::OnUpgrade;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep;

use super::balance::Busy;
use super::connect::Socket;
use super::frames::close;
use super::open::Hold;
use super::open::Order;
use super::open::Tenths;
use super::way::Flow;
use super::way::Scratch;
use super::way::Until;
use super::way::Way;

/// How long the end of a frame is waited for when a WebSocket has to end.
const TO_BORDER: Duration = Duration::from_millis(500);
/// How long the other side may take to hear of the end, after that.
const TO_HEAR: Duration = Duration::from_millis(300);

/// Both sides of a connection that has left HTTP, before the visitor knows of it.
pub struct Tunnel(Box<Before>);

/// What a tunnel begins with.
pub(super) struct Before {
    pub(super) visitor: OnUpgrade,
    pub(super) app: Socket,
    /// What was read of the app beyond its answer.
    pub(super) early: Bytes,
    /// It is a WebSocket.
    pub(super) frames: bool,
    pub(super) scratch: Scratch,
    pub(super) mask: [u8; 4],
    /// What came with the visitor's request: it may count the connection as in use for as long as it lives.
    pub(super) kept: Extensions,
    /// Counts the tunnel at its endpoint.
    pub(super) busy: Busy,
}

impl Tunnel {
    pub(super) fn new(before: Before) -> Self {
        Self(Box::new(before))
    }

    /// The tunnel, to be run as a task of its own; it keeps `place` until its end.
    pub fn run<P: Unpin>(self, hold: Rc<Hold>, tenths: Tenths, place: P) -> Running<P> {
        Running { stage: Stage::Before(self.0), hold, tenths, kept: None, _place: place }
    }
}

/// A tunnel that runs. No async function: thousands lie open, and each is as small as its sockets let it be.
pub struct Running<P> {
    stage: Stage,
    hold: Rc<Hold>,
    tenths: Tenths,
    kept: Option<(Extensions, Busy)>,
    _place: P,
}

enum Stage {
    /// The visitor's side has not left HTTP.
    Before(Box<Before>),
    Joined(Joined<TokioIo<Upgraded>, Socket>),
    Over,
}

impl<P: Unpin> Future for Running<P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Stage::Before(before) = &mut this.stage {
            this.hold.attend(cx);
            if this.hold.order().is_none() {
                match Pin::new(&mut before.visitor).poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(upgraded) => this.join(upgraded.ok()),
                }
            } else {
                this.stage = Stage::Over;
            }
        }
        if let Stage::Joined(joined) = &mut this.stage {
            ready!(Pin::new(joined).poll(cx));
            this.stage = Stage::Over;
        }
        Poll::Ready(())
    }
}

impl<P> Running<P> {
    /// `None`: the visitor left before.
    fn join(&mut self, visitor: Option<Upgraded>) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let (Stage::Before(before), Some(visitor)) = (stage, visitor) else { return };
        let Before { app, early, frames, scratch, mask, kept, busy, .. } = *before;
        let seen = (Rc::clone(&self.hold), self.tenths.clone());
        let joined = Joined::new(TokioIo::new(visitor), (app, &early), frames, scratch, seen, mask);
        self.stage = Stage::Joined(joined);
        self.kept = Some((kept, busy));
    }
}

/// A visitor and an app, joined. Done when either has broken off, both have ended, or it was told to end.
pub(super) struct Joined<V, A> {
    visitor: V,
    app: A,
    down: Way,
    up: Way,
    scratch: Scratch,
    hold: Rc<Hold>,
    tenths: Tenths,
    mask: [u8; 4],
    farewell: Option<Box<Farewell>>,
}

/// A WebSocket on its way to its end.
struct Farewell {
    why: Order,
    until: Pin<Box<Sleep>>,
    visitor: Step,
    app: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The present frame passes yet.
    ToBorder,
    /// Our close frame is being sent.
    Says,
    /// Nothing more will be sent.
    Shuts,
    /// What still comes is thrown away: closing on top of it could take our frame away from who reads it.
    Hears,
    Done,
}

impl<V, A> Joined<V, A>
where
    V: AsyncRead + AsyncWrite + Unpin,
    A: AsyncRead + AsyncWrite + Unpin,
{
    /// `early`: what was read of the app beyond its answer. `frames`: it is a WebSocket.
    pub(super) fn new(
        visitor: V,
        (app, early): (A, &[u8]),
        frames: bool,
        scratch: Scratch,
        (hold, tenths): (Rc<Hold>, Tenths),
        mask: [u8; 4],
    ) -> Self {
        let mut down = Way::new(frames);
        down.push(early);
        hold.moves(tenths.now());
        Self { visitor, app, down, up: Way::new(frames), scratch, hold, tenths, mask, farewell: None }
    }

    fn pass(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        self.down.poll(&mut self.app, &mut self.visitor, cx, &self.scratch, Until::End)?;
        self.up.poll(&mut self.visitor, &mut self.app, cx, &self.scratch, Until::End)?;
        if self.down.take_moved() | self.up.take_moved() {
            self.hold.moves(self.tenths.now());
        }
        Ok(if self.down.is_over() && self.up.is_over() { Poll::Ready(()) } else { Poll::Pending })
    }

    /// `None`: there is nobody to say anything to.
    fn take_leave(&self, why: Order) -> Option<Box<Farewell>> {
        self.down.frames.as_ref()?;
        // What somebody may not send any more is not sent on, not even the rest of it.
        let app = match why {
            Order::Forbidden if !self.up.takes_close() => Step::Done,
            Order::Forbidden | Order::Leaving | Order::Idle => Step::ToBorder,
        };
        Some(Box::new(Farewell { why, until: Box::pin(sleep(TO_BORDER)), visitor: Step::ToBorder, app }))
    }

    fn part(&mut self, farewell: &mut Farewell, cx: &mut Context<'_>) -> Poll<()> {
        let before = (farewell.visitor, farewell.app);
        let visitor_waits = farewell.visitor == Step::ToBorder;
        if let Err(_gone) = self.part_visitor(farewell, cx) {
            farewell.visitor = Step::Done;
        }
        if let Err(_gone) = self.part_app(farewell, cx) {
            farewell.app = Step::Done;
        }
        if (farewell.visitor, farewell.app) == (Step::Done, Step::Done) {
            return Poll::Ready(());
        }
        if visitor_waits && farewell.visitor != Step::ToBorder {
            farewell.until.as_mut().reset(Instant::now() + TO_HEAR);
        }
        if (farewell.visitor, farewell.app) != before {
            // What one side waited for may be what the other has just done.
            cx.waker().wake_by_ref();
        }
        farewell.until.as_mut().poll(cx)
    }

    fn part_visitor(&mut self, farewell: &mut Farewell, cx: &mut Context<'_>) -> io::Result<()> {
        if farewell.visitor == Step::ToBorder {
            let (app, visitor) = (&mut self.app, &mut self.visitor);
            match self.down.poll(app, visitor, cx, &self.scratch, Until::Border)? {
                Flow::Waits => return Ok(()),
                Flow::Reached if self.down.takes_close() => {
                    self.down.push(&farewell.frame(None));
                    farewell.visitor = Step::Says;
                }
                Flow::Reached | Flow::Over => farewell.visitor = Step::Shuts,
            }
        }
        let may_hear = farewell.app != Step::ToBorder;
        say(&mut self.down, &mut self.visitor, &mut farewell.visitor, may_hear, &self.scratch, cx)
    }

    fn part_app(&mut self, farewell: &mut Farewell, cx: &mut Context<'_>) -> io::Result<()> {
        if farewell.app == Step::ToBorder {
            let (app, visitor) = (&mut self.app, &mut self.visitor);
            match self.up.poll(visitor, app, cx, &self.scratch, Until::Border)? {
                Flow::Waits => return Ok(()),
                Flow::Reached if self.up.takes_close() => {
                    self.up.push(&farewell.frame(Some(self.mask)));
                    farewell.app = Step::Says;
                }
                Flow::Reached | Flow::Over => farewell.app = Step::Shuts,
            }
        }
        let may_hear = farewell.visitor != Step::ToBorder;
        say(&mut self.up, &mut self.app, &mut farewell.app, may_hear, &self.scratch, cx)
    }
}

/// From our close frame to the other side's end. `may_hear`: nobody else reads from it any more.
fn say<S: AsyncRead + AsyncWrite + Unpin>(
    way: &mut Way,
    to: &mut S,
    step: &mut Step,
    may_hear: bool,
    scratch: &Scratch,
    cx: &mut Context<'_>,
) -> io::Result<()> {
    if *step == Step::Says && way.poll_written(to, cx)?.is_ready() {
        *step = Step::Shuts;
    }
    if *step == Step::Shuts && Pin::new(&mut *to).poll_shutdown(cx)?.is_ready() {
        *step = Step::Hears;
    }
    if *step == Step::Hears && may_hear && scratch.poll_drain(to, cx)?.is_ready() {
        *step = Step::Done;
    }
    Ok(())
}

impl Farewell {
    fn frame(&self, mask: Option<[u8; 4]>) -> Vec<u8> {
        match self.why {
            Order::Forbidden => close(1008, "the session has ended", mask),
            Order::Leaving => close(1001, "restarting", mask),
            Order::Idle => close(1001, "idle for too long", mask),
        }
    }
}

impl<V, A> Future for Joined<V, A>
where
    V: AsyncRead + AsyncWrite + Unpin,
    A: AsyncRead + AsyncWrite + Unpin,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.hold.attend(cx);
        if this.farewell.is_none() {
            let Some(why) = this.hold.order() else {
                return match this.pass(cx) {
                    Ok(poll) => poll,
                    Err(_broken) => Poll::Ready(()),
                };
            };
            this.farewell = this.take_leave(why);
        }
        let Some(mut farewell) = this.farewell.take() else { return Poll::Ready(()) };
        let parted = this.part(&mut farewell, cx);
        this.farewell = Some(farewell);
        parted
    }
}
