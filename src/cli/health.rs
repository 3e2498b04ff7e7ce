//! `linkgate health`: asks the running gateway's monitor. For containers, where there is no curl.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::Failure;
use super::output;
use crate::config::Loaded;

const PATIENCE: Duration = Duration::from_secs(5);

/// Done: ready. Failed: not, or not there.
pub fn run(loaded: &Loaded) -> Result<(), Failure> {
    let address = loaded.monitor.ok_or_else(|| {
        Failure::Usage("[monitor] listen is \"\", so nobody can be asked; give it an address".into())
    })?;
    let failed = |error: std::io::Error| Failure::Failed(format!("http://{address}/readyz: {error}"));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer).map_err(failed)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.trim()).unwrap_or_default();
    if status == "200" {
        return output::line("ready");
    }
    Err(Failure::Failed(format!("not ready: {status} {body}").trim_end().to_owned()))
}
