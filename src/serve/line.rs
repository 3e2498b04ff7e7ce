//! How one request's answer is broken off from outside: an HTTP/1 connection as a whole, an HTTP/2 stream alone.

use std::rc::Rc;
use std::sync::Arc;

use super::stamps::{Order, Stamps};
use super::takers::Taker;
use crate::gate;

/// What carries one request's answer.
#[derive(Clone, Debug)]
pub struct Line {
    pub(super) stamps: Arc<Stamps>,
    /// `None`: HTTP/1.
    pub(super) taker: Option<Rc<Taker>>,
}

impl Line {
    /// As the gate knows it.
    pub(super) fn for_gate(&self) -> gate::Line {
        match &self.taker {
            Some(taker) => gate::Line::Stream(Rc::clone(taker) as Rc<dyn gate::Cut>),
            None => gate::Line::Connection(Arc::clone(&self.stamps) as Arc<dyn gate::Cut>),
        }
    }
}

impl gate::Cut for Stamps {
    fn cut(&self) {
        self.give(Order::Abort);
    }
}

impl gate::Cut for Taker {
    fn cut(&self) {
        self.cut_off();
    }
}
