//! Secrets: written in the file, in a file of their own, or handed over by systemd. Refuses files that everybody may
//! read; makes the master secret where none was ever made. Never prints one.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::mistake::{Mistake, Place};
use super::reader::Reader;
use crate::secret::Secret;

/// More than this is no secret.
const LARGEST_BYTES: u64 = 64 * 1024;

/// The secret `key` of a table: from `key`, `key_file`, or the credential `name` (empty: no credential counts).
/// `None`: given nowhere, or wrong (which is noted then).
pub fn read(reader: &Reader<'_>, key: &str, name: &str) -> Option<Secret<String>> {
    let file_key = format!("{key}_file");
    let inline = reader.text(key).filter(|text| !text.is_empty());
    let file = reader.text(&file_key).filter(|text| !text.is_empty());
    let folder = reader.log.credentials.as_deref().filter(|_| !name.is_empty());
    let credential = folder.map(|folder| folder.join(name)).filter(|path| path.exists());
    match (inline, file, credential) {
        (Some(_), Some(_), _) => {
            reader.wrong(&file_key, format!("{key} is given as well"), "leave one of the two out");
            None
        }
        (Some(_), None, Some(_)) => {
            let what = format!("the systemd credential {name} gives it as well");
            reader.wrong(key, what, "leave it out here, or take LoadCredential= out of the unit");
            None
        }
        // The unit hands over the very file that `…_file` names, which may be root's alone.
        (None, Some(file), Some(credential)) => {
            let handed = read_credential(reader, name, &credential)?;
            match read_file(&reader.log.path(file), false) {
                Ok(own) if own != handed => {
                    let what = format!("the systemd credential {name} holds another secret than this file");
                    reader.wrong(&file_key, what, "let LoadCredential= in the unit name this very file");
                    None
                }
                Ok(_) | Err(_) => Some(handed),
            }
        }
        (Some(text), None, None) => Some(Secret::new(text.to_owned())),
        (None, Some(file), None) => {
            let path = reader.log.path(file);
            match read_file(&path, true) {
                Ok(secret) => Some(secret),
                Err((what, cure)) => {
                    reader.wrong(&file_key, what, cure);
                    None
                }
            }
        }
        (None, None, Some(path)) => read_credential(reader, name, &path),
        (None, None, None) => None,
    }
}

fn read_credential(reader: &Reader<'_>, name: &str, path: &Path) -> Option<Secret<String>> {
    match read_file(path, false) {
        Ok(secret) => Some(secret),
        Err((what, cure)) => {
            let place = Place::Credential(name.to_owned());
            reader.log.push(Mistake { place, key: String::new(), what, cure });
            None
        }
    }
}

/// The text of a secret's file, without the line end. `guarded`: refuse what everybody may read.
pub fn read_file(path: &Path, guarded: bool) -> Result<Secret<String>, (String, String)> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        (format!("{shown}: {error}"), String::from("name a file that linkgate may read"))
    };
    let about = fs::metadata(path).map_err(failed)?;
    if !about.is_file() || about.len() > LARGEST_BYTES {
        return Err((
            format!("{shown} is not a small file"),
            "name a file that holds the secret alone".into(),
        ));
    }
    if guarded && about.mode() & 0o007 != 0 {
        return Err((
            format!("everybody on this machine may open {shown}"),
            format!("run: chmod o= {shown}"),
        ));
    }
    let bytes = Zeroizing::new(fs::read(path).map_err(failed)?);
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| (format!("{shown} is not text"), String::from("write the secret as text")))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err((format!("{shown} is empty"), "write the secret into it".into()));
    }
    Ok(Secret::new(text.to_owned()))
}

/// Reads a secret that we made ourselves: only the owner may open it.
///
/// # Errors
/// What is wrong, and the cure; `Ok(None)`: there is no such file.
pub fn read_own(path: &Path) -> Result<Option<Secret<String>>, String> {
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    if !about.is_file() || about.mode() & 0o077 != 0 {
        let shown = path.display();
        return Err(format!("others than the owner may open {shown}; run: chmod 0600 {shown}"));
    }
    read_file(path, true).map(Some).map_err(|(what, cure)| format!("{what}; {cure}"))
}

/// Writes a secret that nobody has written before: complete or not at all, readable by the owner alone. `false`:
/// somebody else was faster, and theirs counts.
///
/// # Errors
/// What the operating system says, with the file's name.
pub fn write_new(path: &Path, secret: &Secret<String>) -> Result<bool, String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let draft = PathBuf::from(format!("{}.new.{}", path.display(), std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(|error| failed(&draft, error))?;
    let written = file.write_all(secret.expose().as_bytes()).and_then(|()| file.write_all(b"\n"));
    let written = written.and_then(|()| file.sync_all());
    // A link fails where the name is taken: two that start at once agree on one secret.
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match linked {
        Ok(()) => removed.map(|()| true).map_err(|error| failed(&draft, error)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(path, error)),
    }
}
