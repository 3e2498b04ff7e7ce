//! A mail relay that takes its time: it says yes to a letter when the test does.

use std::sync::Arc;
use std::sync::Mutex;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub struct Relay {
    pub port: u16,
    /// Each whole letter that came, taken or not yet.
    letters: Arc<Mutex<Vec<String>>>,
    taking: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Relay {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let letters = Arc::new(Mutex::new(Vec::new()));
        let (taking, said) = watch::channel(false);
        let kept = Arc::clone(&letters);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(converse(socket, Arc::clone(&kept), said.clone()));
            }
        });
        Self { port, letters, taking, task }
    }

    pub fn letters(&self) -> Vec<String> {
        self.letters.lock().unwrap().clone()
    }

    /// Yes, to all that wait and all that follow.
    pub fn takes(&self) {
        self.taking.send_replace(true);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// RFC 5321, as far as a letter needs it.
async fn converse(
    socket: TcpStream,
    letters: Arc<Mutex<Vec<String>>>,
    mut taking: watch::Receiver<bool>,
) -> Option<()> {
    let (lines, mut out) = socket.into_split();
    let mut lines = BufReader::new(lines).lines();
    out.write_all(b"220 relay.test\r\n").await.ok()?;
    while let Some(line) = lines.next_line().await.ok()? {
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "DATA" => {
                out.write_all(b"354 go on\r\n").await.ok()?;
                let mut letter = String::new();
                loop {
                    let line = lines.next_line().await.ok()??;
                    if line == "." {
                        break;
                    }
                    letter.push_str(&line);
                    letter.push('\n');
                }
                letters.lock().unwrap().push(letter);
                taking.wait_for(|taking| *taking).await.ok()?;
                "250 taken\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 yes\r\n",
        };
        out.write_all(answer.as_bytes()).await.ok()?;
    }
    Some(())
}
