//! Run as root, a command becomes the owner of `state_dir`, so that no file of root's is left there and the store is
//! read with the rights that the gateway has. Starts itself again as that person; never the other way round.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use super::Failure;
use crate::config::{self, Environment};

/// Where systemd puts the unit's credentials while it runs.
const UNIT_CREDENTIALS: &str = "/run/credentials/linkgate.service";

/// Goes on as the owner of `state_dir`; does nothing when run by anybody but root, or when root owns it.
///
/// # Errors
/// The file cannot be read, or the program cannot be started again.
pub fn become_owner(file: &Path, environment: &Environment) -> Result<(), Failure> {
    // The owner of our entry in /proc is our effective user; where there is no /proc nothing is done.
    if std::fs::metadata("/proc/self").is_ok_and(|about| about.uid() != 0) {
        return Ok(());
    }
    let folder = config::state_dir(file, environment)?;
    let Ok(about) = std::fs::metadata(&folder) else { return Ok(()) };
    if about.uid() == 0 {
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        let (uid, shown) = (about.uid(), folder.display());
        Failure::Failed(format!(
            "cannot go on as user {uid}, the owner of {shown}: {error}; run this command as that user"
        ))
    };
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = std::process::Command::new(program);
    command.args(std::env::args_os().skip(1)).uid(about.uid()).gid(about.gid());
    if environment.credentials.is_none() && Path::new(UNIT_CREDENTIALS).is_dir() {
        command.env("CREDENTIALS_DIRECTORY", UNIT_CREDENTIALS);
    }
    // Returns only where it failed.
    Err(failed(command.exec()))
}
