//! A program from the Python environment that `tests/check.sh` makes: it is heard line by line, and ends with the test.

use super::PATIENCE;
use super::installed;
use std::path::Path;
use std::process::Stdio;
use tempfile::NamedTempFile;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::BufReader;
use tokio::io::Lines;
use tokio::process::Child;
use tokio::process::ChildStdout;
use tokio::process::Command;
use tokio::time::timeout;

pub struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it said so far.
    heard: Vec<String>,
    errors: NamedTempFile,
}

impl Program {
    /// A script of `tests/clients/`.
    pub fn script(name: &str, arguments: &[&str]) -> Self {
        let script = format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut all = vec![script.as_str()];
        all.extend(arguments);
        Self::start("python", &all, Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    /// A program of the environment, at home in this folder.
    pub fn start(name: &str, arguments: &[&str], folder: &Path) -> Self {
        let errors = NamedTempFile::new().unwrap();
        let mut child = Command::new(installed(&format!("venv/bin/{name}")))
            .args(arguments)
            .current_dir(folder)
            .env("HOME", folder)
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors.reopen().unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, heard: Vec::new(), errors }
    }

    /// Its next line; `None` at its end.
    pub async fn line(&mut self) -> Option<String> {
        let line = timeout(PATIENCE * 2, self.lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("it fell silent:\n{}", self.told())).unwrap();
        self.heard.extend(line.clone());
        line
    }

    /// Reads up to this line.
    pub async fn says(&mut self, wanted: &str) {
        while let Some(line) = self.line().await {
            if line == wanted {
                return;
            }
        }
        panic!("it ended without saying {wanted:?}:\n{}", self.told());
    }

    /// Reads to its end, which must be a good one; every line it said.
    pub async fn ends(mut self) -> Vec<String> {
        while self.line().await.is_some() {}
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap();
        assert!(status.success(), "{status}:\n{}", self.told());
        std::mem::take(&mut self.heard)
    }

    /// All that it said and complained of.
    pub fn told(&self) -> String {
        let errors = std::fs::read_to_string(self.errors.path()).unwrap_or_default();
        let last = errors.lines().rev().take(60).collect::<Vec<_>>().into_iter().rev();
        format!("{}\n{}", self.heard.join("\n"), last.collect::<Vec<_>>().join("\n"))
    }
}
