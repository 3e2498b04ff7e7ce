//! One `.eml` file a letter. A reader never sees half a file, and nobody but the owner sees any.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::letter::Letter;
use super::mailer::{Receipt, SendError};

/// Writes the message and gives it its name when it is whole and on disk.
pub(super) async fn send(folder: &Path, letter: &Letter, bytes: &[u8]) -> Result<Receipt, SendError> {
    // `compose` has made sure that the id is letters, digits, dots and hyphens. The same letter has the same name.
    let id = letter.message_id.trim_start_matches('<').split('@').next().unwrap_or_default().to_owned();
    let name = format!("{}-{id}.eml", letter.created_at.millis());
    let (folder, bytes) = (folder.to_owned(), bytes.to_owned());
    let shown = folder.display().to_string();
    match tokio::task::spawn_blocking(move || write(&folder, &name, &bytes)).await {
        Ok(Ok(path)) => {
            Ok(Receipt { way: path.display().to_string(), said: "written".to_owned(), first: None })
        }
        Ok(Err(error)) => Err(SendError::Temporary(format!(
            "no letter could be written to {shown}: {error}; the folder must exist or be creatable and belong to the user \
             that linkgate runs as"
        ))),
        Err(error) => Err(SendError::Temporary(format!("writing to {shown} broke off: {error}"))),
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let part = folder.join(format!(".{name}.part"));
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let whole = file.write_all(bytes).and_then(|()| file.sync_all());
    let path = folder.join(name);
    if let Err(error) = whole.and_then(|()| std::fs::rename(&part, &path)) {
        // Half a letter is of no use to anybody; the error that matters is the first.
        drop(std::fs::remove_file(&part));
        return Err(error);
    }
    File::open(folder)?.sync_all()?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::letter::tests::letter;
    use super::*;

    #[tokio::test]
    async fn a_letter_becomes_one_private_file() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("out");
        for _ in 0..2 {
            let receipt = send(&folder, &letter(), b"Subject: x\r\n\r\ny\r\n").await.unwrap();
            assert_eq!(std::fs::read(&receipt.way).unwrap(), b"Subject: x\r\n\r\ny\r\n");
            assert_eq!(std::fs::metadata(&receipt.way).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(Path::new(&names[0]).extension().unwrap(), "eml");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_is_temporary() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = send(&file.path().join("x"), &letter(), b"").await.unwrap_err();
        assert!(matches!(&error, SendError::Temporary(words) if words.contains("folder")), "{error:?}");
    }
}
