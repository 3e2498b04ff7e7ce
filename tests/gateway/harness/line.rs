//! A line between two parties that can be disturbed: late, silent, cut. Also a front door before several machines.

use super::free_port;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the line does to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Every piece takes so long, and every so-manieth is sent again after a fifth of a second, as a lost one is.
    Rough {
        late: Duration,
        every: u64,
    },
    /// Connections stand, nothing comes through: a partition.
    Silent,
    /// Connections end, new ones end at once.
    Cut,
}

/// Who comes from here has a weather of its own: servers that talk to each other, beside their visitors.
pub const AMONG: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

pub struct Line {
    pub port: u16,
    weather: watch::Sender<Weather>,
    among: watch::Sender<Weather>,
    aim: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// One after the other.
const IN_TURN: usize = usize::MAX;

impl Line {
    /// To these ports: in turn, until [`Line::aim`] says which.
    pub async fn to(targets: Vec<u16>) -> Self {
        Self::at(free_port(), targets).await
    }

    pub async fn at(port: u16, targets: Vec<u16>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let (weather, seen) = watch::channel(Weather::Fair);
        let (among, felt) = watch::channel(Weather::Fair);
        let aim = Arc::new(AtomicUsize::new(IN_TURN));
        let aimed = Arc::clone(&aim);
        let task = tokio::spawn(async move {
            let mut turn = 0;
            loop {
                let Ok((here, from)) = listener.accept().await else { continue };
                let weather = if from.ip() == AMONG { felt.clone() } else { seen.clone() };
                let number = match aimed.load(Ordering::SeqCst) {
                    IN_TURN => turn,
                    number => number,
                };
                turn += 1;
                let target = targets[number % targets.len()];
                tokio::spawn(join(here, target, weather));
            }
        });
        Self { port, weather, among, aim, task }
    }

    pub fn is(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// For those who come from [`AMONG`].
    pub fn is_among(&self, weather: Weather) {
        self.among.send_replace(weather);
    }

    /// New connections go to this one.
    pub fn aim(&self, number: usize) {
        self.aim.store(number, Ordering::SeqCst);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
        self.weather.send_replace(Weather::Cut);
        self.among.send_replace(Weather::Cut);
    }
}

async fn join(here: TcpStream, target: u16, weather: watch::Receiver<Weather>) {
    if *weather.borrow() == Weather::Cut {
        return;
    }
    let Ok(there) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    let _ = (here.set_nodelay(true), there.set_nodelay(true));
    let (mut asked, mut answer) = here.into_split();
    let (mut heard, mut question) = there.into_split();
    let mut cut = weather.clone();
    tokio::select! {
        () = async {
            tokio::join!(
                carry(&mut asked, &mut question, weather.clone()),
                carry(&mut heard, &mut answer, weather.clone()),
            );
        } => {}
        _ = cut.wait_for(|weather| *weather == Weather::Cut) => {}
    }
}

async fn carry(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut weather: watch::Receiver<Weather>,
) {
    static PIECES: AtomicU64 = AtomicU64::new(0);
    let mut piece = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if weather.wait_for(|weather| *weather != Weather::Silent).await.is_err() {
            return;
        }
        let now = *weather.borrow();
        if let Weather::Rough { late, every } = now {
            let lost = PIECES.fetch_add(1, Ordering::Relaxed).is_multiple_of(every);
            tokio::time::sleep(if lost { late + Duration::from_millis(200) } else { late }).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
