//! Two sockets that were taken out of HTTP, joined. A WebSocket that has to end is told so between two frames, on both
//! sides; anything else is closed. Holds no buffer while nothing waits, and sets no timer but for the end.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep;

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
