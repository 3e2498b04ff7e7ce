//! A real mail server on the loopback (aiosmtpd): a program of its own, so that it can be away and come back.

use super::installed;
use super::letters::Mailbox;
use std::io::BufRead;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

pub struct MailServer {
    child: Child,
    _folder: TempDir,
    pub mailbox: Mailbox,
    letters: PathBuf,
}

impl MailServer {
    /// Listens when this returns. The first `refusals` letters get a 451.
    pub fn start(port: u16, refusals: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let script = format!("{}/tests/gateway/harness/smtp.py", env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(installed("venv/bin/python"))
            .args([&script, &port.to_string(), folder.path().to_str().unwrap(), &refusals.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready", "the mail server did not start");
        let letters = folder.path().to_owned();
        Self { child, _folder: folder, mailbox: Mailbox::new(letters.clone()), letters }
    }

    /// How many letters it has taken.
    pub fn count(&self) -> usize {
        let eml = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|end| end == "eml");
        std::fs::read_dir(&self.letters).unwrap().flatten().filter(eml).count()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
