//! One direction of a tunnel: reads into a buffer that is lent for the moment, writes at once, keeps only what the other
//! side does not take. Changes no byte, and reads no more while something is kept.

use std::cell::RefCell;
use std::cell::RefMut;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use super::frames::Frames;

/// The most that is read at once.
const MOST: usize = 64 * 1024;
/// What is read at once where the other side is slow: it may have to be kept.
const LEAST: usize = 4 * 1024;
/// After so many pieces others get their turn.
const ROUNDS: usize = 16;

/// One worker's buffer, lent to whichever tunnel is being polled.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch(Rc<RefCell<Vec<u8>>>);

impl Scratch {
    /// Reads and forgets; ready at the end.
    pub(super) fn poll_drain<R: AsyncRead + Unpin>(
        &self,
        from: &mut R,
        cx: &mut Context<'_>,
    ) -> io::Result<Poll<()>> {
        let mut scratch = self.borrow();
        for _ in 0..ROUNDS {
            let mut buffer = ReadBuf::new(&mut scratch);
            if Pin::new(&mut *from).poll_read(cx, &mut buffer)?.is_pending() {
                return Ok(Poll::Pending);
            }
            if buffer.filled().is_empty() {
                return Ok(Poll::Ready(()));
            }
        }
        cx.waker().wake_by_ref();
        Ok(Poll::Pending)
    }

    fn borrow(&self) -> RefMut<'_, Vec<u8>> {
        let mut bytes = self.0.borrow_mut();
        if bytes.is_empty() {
            bytes.resize(MOST, 0);
        }
        bytes
    }
}

/// How far to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// The end.
    End,
    /// The end of the present frame.
    Border,
}

/// Where a direction stands after a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Nothing can be done before the task is woken.
    Waits,
    /// All that was wanted has passed, and is written.
    Reached,
    /// The end was read, and passed on.
    Over,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Way {
    /// Read and not written; `None` most of the time.
    kept: Option<Box<Kept>>,
    /// Where the frames are; `None`: not a WebSocket.
    pub(super) frames: Option<Frames>,
    room: u32,
    state: State,
    unflushed: bool,
    /// Whether anything was read since this was last asked.
    moved: bool,
}

#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The end was read, and is to be passed on.
    Ending,
    Over,
}

impl Way {
    pub(super) fn new(frames: bool) -> Self {
        Self {
            kept: None,
            frames: frames.then(Frames::new),
            room: u32::try_from(MOST).unwrap_or(u32::MAX),
            state: State::Open,
            unflushed: false,
            moved: false,
        }
    }

    /// Puts bytes behind what has been read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if let Some(frames) = &mut self.frames {
            frames.feed(bytes);
        }
        if !bytes.is_empty() {
            let kept = self.kept.get_or_insert_with(|| Box::new(Kept { bytes: Vec::new(), at: 0 }));
            kept.bytes.extend_from_slice(bytes);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether a frame of our own could be sent next.
    pub(super) fn takes_close(&self) -> bool {
        let border = |frames: &Frames| frames.at_border() && !frames.is_closed();
        self.state == State::Open && self.frames.as_ref().is_some_and(border)
    }

    /// Whether anything was read since the last call.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Moves what can be moved.
    ///
    /// # Errors
    /// Either side's: the tunnel is at its end.
    pub(super) fn poll<R, W>(
        &mut self,
        from: &mut R,
        to: &mut W,
        cx: &mut Context<'_>,
        scratch: &Scratch,
        until: Until,
    ) -> io::Result<Flow>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        for _ in 0..ROUNDS {
            if self.poll_kept(to, cx)?.is_pending() {
                return Ok(Flow::Waits);
            }
            match self.state {
                State::Open => {}
                State::Ending => {
                    if Pin::new(&mut *to).poll_shutdown(cx)?.is_pending() {
                        return Ok(Flow::Waits);
                    }
                    self.state = State::Over;
                    return Ok(Flow::Over);
                }
                State::Over => return Ok(Flow::Over),
            }
            let at_border = self.frames.as_ref().is_none_or(Frames::at_border);
            if until == Until::Border && at_border {
                return Ok(self.poll_flush(to, cx)?.map_or(Flow::Waits, |()| Flow::Reached));
            }
            if self.read_on(from, to, cx, scratch, until)?.is_pending() {
                let _ = self.poll_flush(to, cx)?;
                return Ok(Flow::Waits);
            }
        }
        cx.waker().wake_by_ref();
        Ok(Flow::Waits)
    }

    fn read_on<R, W>(
        &mut self,
        from: &mut R,
        to: &mut W,
        cx: &mut Context<'_>,
        scratch: &Scratch,
        until: Until,
    ) -> io::Result<Poll<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut room = usize::try_from(self.room).unwrap_or(LEAST);
        if let (Until::Border, Some(frames)) = (until, &self.frames) {
            room = room.min(usize::try_from(frames.certain()).unwrap_or(MOST));
        }
        let mut scratch = scratch.borrow();
        let mut buffer = ReadBuf::new(scratch.get_mut(..room).unwrap_or_default());
        if Pin::new(from).poll_read(cx, &mut buffer)?.is_pending() {
            return Ok(Poll::Pending);
        }
        let read = buffer.filled();
        if read.is_empty() {
            self.state = State::Ending;
            return Ok(Poll::Ready(()));
        }
        self.moved = true;
        if let Some(frames) = &mut self.frames {
            frames.feed(read);
        }
        let mut left = read;
        while !left.is_empty() {
            let Poll::Ready(written) = Pin::new(&mut *to).poll_write(cx, left)? else { break };
            left = left.get(advanced(written)?..).unwrap_or_default();
            self.unflushed = true;
        }
        if !left.is_empty() {
            self.kept = Some(Box::new(Kept { bytes: left.to_vec(), at: 0 }));
            self.room = u32::try_from(LEAST).unwrap_or(u32::MAX);
        } else if read.len() == room {
            self.room = self.room.saturating_mul(2).min(u32::try_from(MOST).unwrap_or(u32::MAX));
        }
        Ok(Poll::Ready(()))
    }

    /// Writes what was kept; ready when nothing is.
    fn poll_kept<W: AsyncWrite + Unpin>(&mut self, to: &mut W, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        while let Some(kept) = &mut self.kept {
            let left = kept.bytes.get(kept.at..).unwrap_or_default();
            if left.is_empty() {
                self.kept = None;
                break;
            }
            let Poll::Ready(written) = Pin::new(&mut *to).poll_write(cx, left)? else {
                return Ok(Poll::Pending);
            };
            kept.at = kept.at.saturating_add(advanced(written)?);
            self.unflushed = true;
        }
        Ok(Poll::Ready(()))
    }

    /// Writes what was kept and lets it leave.
    pub(super) fn poll_written<W: AsyncWrite + Unpin>(
        &mut self,
        to: &mut W,
        cx: &mut Context<'_>,
    ) -> io::Result<Poll<()>> {
        if self.poll_kept(to, cx)?.is_pending() {
            return Ok(Poll::Pending);
        }
        Ok(self.poll_flush(to, cx)?.map_or(Poll::Pending, Poll::Ready))
    }

    /// `None`: not yet.
    fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        to: &mut W,
        cx: &mut Context<'_>,
    ) -> io::Result<Option<()>> {
        if self.unflushed {
            if Pin::new(to).poll_flush(cx)?.is_pending() {
                return Ok(None);
            }
            self.unflushed = false;
        }
        Ok(Some(()))
    }
}

/// A socket that takes nothing and says so is at its end.
fn advanced(written: usize) -> io::Result<usize> {
    if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) }
}
