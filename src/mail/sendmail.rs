//! Hands a letter to a program like sendmail. Never by a shell, never with our environment (secrets may be in it).

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use lettre::address::Envelope;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use super::explain::presentable;
use super::letter::Letter;
use super::mailer::{Receipt, SendError};

const PATIENCE: Duration = Duration::from_secs(25);
const MOST_WORDS: usize = 4096;

/// Runs `program -i -f FROM -- TO` with the message on standard input.
pub(super) async fn send(
    program: &Path,
    letter: &Letter,
    envelope: &Envelope,
    bytes: &[u8],
) -> Result<Receipt, SendError> {
    let shown = program.display().to_string();
    let mut command = Command::new(program);
    command.arg("-i").arg("-f").arg(envelope.from().map(ToString::to_string).unwrap_or_default()).arg("--");
    command.args(envelope.to().iter().map(ToString::to_string));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| {
        SendError::Temporary(format!("{shown} could not be started: {error}; check sendmail: in mail.url"))
    })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let run = async {
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that stops reading tells why by its exit status.
                if stdin.write_all(bytes).await.is_ok() {
                    drop(stdin.shutdown().await);
                }
            }
        };
        let ((), out, err, status) = tokio::join!(feed, words(stdout), words(stderr), child.wait());
        status.map(|status| (status, if err.is_empty() { out } else { err }))
    };
    match timeout(PATIENCE, run).await {
        Err(_) => {
            Err(SendError::Temporary(format!("{shown} did not finish within {} s", PATIENCE.as_secs())))
        }
        Ok(Err(error)) => Err(SendError::Temporary(format!("{shown} could not be waited for: {error}"))),
        Ok(Ok((status, words))) => judge(shown, status, &presentable(words.trim(), Some(letter), &[])),
    }
}

/// By sysexits.h: what may pass with time is temporary.
fn judge(shown: String, status: ExitStatus, words: &str) -> Result<Receipt, SendError> {
    match (status.code(), status.signal()) {
        (Some(0), _) => {
            Ok(Receipt { way: shown, said: format!("accepted {words}").trim_end().to_owned(), first: None })
        }
        (Some(code @ (69 | 71..=75)), _) => {
            Err(SendError::Temporary(format!("{shown} cannot take the letter now (exit {code}): {words}")))
        }
        (Some(code), _) => {
            Err(SendError::Permanent(format!("{shown} refused the letter (exit {code}): {words}")))
        }
        (None, signal) => Err(SendError::Temporary(format!(
            "{shown} was ended by signal {}: {words}",
            signal.unwrap_or_default()
        ))),
    }
}

/// Reads to the end, so that the program never blocks, and keeps the beginning.
async fn words<R: AsyncRead + Unpin>(from: Option<R>) -> String {
    let Some(mut from) = from else { return String::new() };
    let (mut kept, mut buffer) = (Vec::new(), [0; 1024]);
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let room = MOST_WORDS.saturating_sub(kept.len());
        kept.extend(buffer.iter().take(read.min(room)));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::super::letter::tests::letter;
    use super::*;

    fn program(home: &tempfile::TempDir, script: &str) -> PathBuf {
        let path = home.path().join("sendmail");
        let whole = format!("#!/bin/sh\ncd {}\n{script}\n", home.path().display());
        fs::write(&path, whole).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    async fn sent(script: &str) -> (tempfile::TempDir, Result<Receipt, SendError>) {
        let home = tempfile::tempdir().unwrap();
        let path = program(&home, script);
        let envelope = Envelope::new(
            Some("login@example.com".parse().unwrap()),
            vec!["alice@example.com".parse().unwrap()],
        );
        let body = [b"Subject: x\r\n\r\n", "y".repeat(200_000).as_bytes()].concat();
        let result = send(&path, &letter(), &envelope.unwrap(), &body).await;
        (home, result)
    }

    #[tokio::test]
    async fn the_program_gets_the_letter_and_nothing_of_our_environment() {
        let (home, result) = sent("echo \"$@\" > args; env > env; cat > body; echo queued").await;
        assert_eq!(result.unwrap().said, "accepted queued");
        let read = |name| fs::read_to_string(home.path().join(name)).unwrap();
        assert_eq!(read("args"), "-i -f login@example.com -- alice@example.com\n");
        assert!(!read("env").contains("CARGO"));
        assert_eq!(read("body").len(), 200_000 + 14);
    }

    #[tokio::test]
    async fn seventy_five_is_tried_again_and_sixty_seven_is_not() {
        let (_home, busy) = sent("echo 'queue full token=abc.def.ghi' >&2; exit 75").await;
        assert!(
            matches!(&busy, Err(SendError::Temporary(w)) if w.contains("queue full") && !w.contains("abc"))
        );
        let (_home, unknown) = sent("echo 'no such user' >&2; exit 67").await;
        assert!(
            matches!(&unknown, Err(SendError::Permanent(w)) if w.contains("no such user")),
            "{unknown:?}"
        );
        let (_home, killed) = sent("kill -9 $$").await;
        assert!(matches!(&killed, Err(SendError::Temporary(w)) if w.contains("signal 9")), "{killed:?}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let envelope = Envelope::new(None, vec!["alice@example.com".parse().unwrap()]).unwrap();
        let error = send(Path::new("/nonexistent/sendmail"), &letter(), &envelope, b"").await.unwrap_err();
        assert!(
            matches!(&error, SendError::Temporary(w) if w.contains("/nonexistent/sendmail")),
            "{error:?}"
        );
    }
}
