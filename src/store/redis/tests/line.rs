//! A line to a server that hears what is asked, and can be cut in the middle of something.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Hears each piece that is asked. `true`: it does not arrive, and the connection ends.
type Ear = Arc<Mutex<dyn FnMut(&[u8]) -> bool + Send>>;

pub(super) struct Line {
    pub(super) port: u16,
    over: Arc<AtomicBool>,
}

impl Line {
    /// To a Unix socket, which need not be there all the time.
    pub(super) fn to(socket: PathBuf, ear: impl FnMut(&[u8]) -> bool + Send + 'static) -> Self {
        // A socket is a socket.
        let connect = move || UnixStream::connect(&socket).map(|there| TcpStream::from(OwnedFd::from(there)));
        Self::over(connect, ear)
    }

    /// To a port that others reach without it. It can be cut, and mended.
    pub(super) fn to_port(port: u16) -> (Self, Arc<AtomicBool>) {
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = Arc::clone(&cut);
        let connect = move || TcpStream::connect(("127.0.0.1", port));
        (Self::over(connect, move |_| is_cut.load(Ordering::SeqCst)), cut)
    }

    fn over(
        connect: impl Fn() -> std::io::Result<TcpStream> + Send + 'static,
        ear: impl FnMut(&[u8]) -> bool + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ear: Ear = Arc::new(Mutex::new(ear));
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        std::thread::spawn(move || {
            for here in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                // Whoever comes while the ear is at work waits for it.
                drop(ear.lock().unwrap());
                if let (Ok(here), Ok(there)) = (here, connect()) {
                    join(here, there, &ear);
                }
            }
        });
        Self { port, over }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn join(here: TcpStream, there: TcpStream, ear: &Ear) {
    here.set_nodelay(true).unwrap();
    let (mut answers, mut heard) = (here.try_clone().unwrap(), there.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut heard, &mut answers);
        let _ = answers.shutdown(Shutdown::Both);
    });
    let ear = Arc::clone(ear);
    std::thread::spawn(move || {
        let (mut here, mut there) = (here, there);
        let mut piece = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = here.read(&mut piece) {
            let piece = &piece[..length];
            if (ear.lock().unwrap())(piece) || there.write_all(piece).is_err() {
                break;
            }
        }
        let _ = (here.shutdown(Shutdown::Both), there.shutdown(Shutdown::Both));
    });
}
