//! `linkgate store export` and `store import`: a store into a file and a file into a store. Never writes over a file,
//! never half of one, never into a store that is in use; what is imported was read to its end before.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Seek as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Failure;
use super::output;
use super::rooms;
use super::workbench::Workbench;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::config::values;
use crate::random::Random;
use crate::store::LetterState;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::transfer::Census;
use crate::store::transfer::Delivery;
use crate::store::transfer::Header;
use crate::store::transfer::Moved;
use crate::store::transfer::Reading;
use crate::store::transfer::last_line;
use crate::store::transfer::line;

/// Deliveries that may wait for a slow disk.
const WAITING: usize = 4;
/// Records in a delivery.
const TOGETHER: usize = 500;
/// The longest line that is read.
const LONGEST_LINE_BYTES: u64 = 1 << 20;
/// An export that is older has missed revocations that people may rely on.
const FRESH: Duration = Duration::from_hours(1);

/// `store export FILE`.
pub async fn export(loaded: &Loaded, file: &Path) -> Result<(), Failure> {
    let bench = Workbench::open(loaded)?;
    let header = Header::new(bench.clock.now(), marks(loaded, &bench.random)?);
    let census = if is_dash(file) {
        write_out(&bench.store, &header, std::io::stdout().lock(), Path::new("standard output")).await?
    } else {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        let made = made.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Failure::Failed(format!(
                "{} is there already, and nothing is written over; name a new file, or remove it first",
                file.display()
            )),
            _ => failed(file, &error),
        })?;
        let written = write_out(&bench.store, &header, &made, file).await;
        let written = written.and_then(|census| {
            made.sync_all().map_err(|error| failed(file, &error))?;
            Ok(census)
        });
        if written.is_err() {
            // It is ours, and half of an export is worth nothing.
            let _ = fs::remove_file(file);
        }
        written?
    };
    bench.note("store.exported", "", None, census.to_string()).await?;
    output::remark(&format!("exported: {census}"))?;
    let letters = bench.store.list_letters().await?;
    let waiting =
        letters.iter().filter(|l| matches!(l.state, LetterState::Waiting | LetterState::Leased)).count();
    if waiting > 0 {
        output::remark(&format!(
            "not exported: {waiting} letters that are still to be sent. Let the old gateway send them first \
             (linkgate mail queue), or those people ask again"
        ))?;
    }
    Ok(())
}

/// `store import FILE`.
pub async fn import(loaded: &Loaded, file: &Path, other_secret: bool) -> Result<(), Failure> {
    if !other_secret && loaded.master.given.is_none() && !loaded.master.generated.exists() {
        return Err(Failure::Failed(format!(
            "there is no master secret here yet; copy the file of the old machine to {}, or name it in secret_file \
             (or give --other-secret: then everybody has to sign in again)",
            loaded.master.generated.display()
        )));
    }
    let mut input = if is_dash(file) { spool(loaded)? } else { open(file)? };
    // To its end, before anything is written.
    let (header, _) = read(&mut input, file, |_| Ok(()))?;
    let clock = Clock::system();
    same_secret(&header, &marks(loaded, &Random::system())?, loaded, other_secret)?;
    let age = clock.now().since(header.made_at);
    if age > FRESH {
        output::remark(&format!(
            "this export is of {}: what was revoked or spent since then is not in it. Unless the old store has stood \
             still since, run `linkgate key rotate --now` afterwards, which signs everybody out",
            values::spoken_moment(header.made_at)
        ))?;
    }
    input.rewind().map_err(|error| failed(file, &error))?;
    let bench = Workbench::open(loaded)?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let name = file.to_owned();
    // Reading waits for the disk and for the store: not on this thread, where the store's answer is waited for.
    let reader = tokio::task::spawn_blocking(move || feed(&mut input, &name, &sender));
    let imported = bench.store.import(receiver).await;
    let fed = reader.await.map_err(|error| Failure::Failed(format!("reading ended early: {error}")))?;
    // Where the store refused, that is the reason; the reader only noticed that nobody listened any more.
    let census = match (imported, fed) {
        (Ok(census), Ok(())) => census,
        (Err(_), Err(failure)) if !matches!(failure, Fed::NobodyListens) => return Err(failure.into()),
        (Err(error), _) => return Err(error.into()),
        (Ok(_), Err(failure)) => return Err(failure.into()),
    };
    let noted = bench.note("store.imported", "", None, census.to_string()).await;
    bench.store.confirmed().await?;
    output::line(&format!("imported: {census}"))?;
    // Done it is all the same.
    noted.or_else(|(Failure::Failed(why) | Failure::Usage(why))| {
        output::remark(&format!("the log does not say that it was imported: {why}"))
    })
}

/// The marks of the master secrets in force, the present one first.
fn marks(loaded: &Loaded, random: &Random) -> Result<Vec<String>, Failure> {
    let masters = rooms::masters(loaded, random)?;
    let marks: Result<Vec<String>, _> = masters.iter().map(crate::identity::MasterSecret::mark).collect();
    marks.map_err(|error| Failure::Failed(error.to_string()))
}

/// Cookies, links and codes are signed: without the same secret they would be worth nothing in the new place.
fn same_secret(header: &Header, ours: &[String], loaded: &Loaded, other_secret: bool) -> Result<(), Failure> {
    let missing: Vec<bool> = header.secrets.iter().map(|mark| !ours.contains(mark)).collect();
    if missing.first().copied().unwrap_or(true) {
        if other_secret {
            return output::remark("the master secret is another one: everybody has to sign in again");
        }
        return Err(Failure::Failed(format!(
            "the export was made under another master secret, so nobody would stay signed in; nothing was changed. Copy \
             the secret of the old machine (state_dir/secret, or its secret_file) to {} or name it in \
             previous_secret_files, and import again; or give --other-secret: then everybody has to sign in again",
            loaded.master.generated.display()
        )));
    }
    if missing.contains(&true) {
        output::remark(
            "a previous secret of the old machine is missing here; who signed in under it has to sign in again, unless \
             you add it to previous_secret_files",
        )?;
    }
    Ok(())
}

async fn write_out(store: &Store, header: &Header, to: impl Write, name: &Path) -> Result<Census, Failure> {
    let (sender, mut receiver) = mpsc::channel::<Vec<Moved>>(WAITING);
    let write = async move {
        let mut to = BufWriter::new(to);
        let mut census = Census::default();
        let mut put = |bytes: Vec<u8>| to.write_all(&bytes).map_err(|error| failed(name, &error));
        put(line(header)?)?;
        while let Some(records) = receiver.recv().await {
            for record in &records {
                census.count(record);
                put(line(record)?)?;
            }
        }
        Ok::<_, Failure>((to, census))
    };
    let (exported, written) = tokio::join!(store.export(sender), write);
    let (mut to, census) = written?;
    // Only an export that was told to its end gets the line that says so.
    exported?;
    to.write_all(&last_line(&census)?).and_then(|()| to.flush()).map_err(|error| failed(name, &error))?;
    Ok(census)
}

/// Why the file did not get into the store.
enum Fed {
    File(Failure),
    NobodyListens,
}

impl From<Failure> for Fed {
    fn from(failure: Failure) -> Self {
        Self::File(failure)
    }
}

impl From<Fed> for Failure {
    fn from(fed: Fed) -> Self {
        match fed {
            Fed::File(failure) => failure,
            Fed::NobodyListens => Self::Failed("the store stopped listening".to_owned()),
        }
    }
}

fn feed(input: &mut File, name: &Path, to: &mpsc::Sender<Delivery>) -> Result<(), Fed> {
    let mut together = Vec::new();
    let mut listening = true;
    let send = |records: Vec<Moved>| to.blocking_send(Delivery::Records(records)).is_ok();
    read(input, name, |record| {
        together.push(record);
        if together.len() == TOGETHER {
            listening = send(std::mem::take(&mut together));
        }
        if listening { Ok(()) } else { Err(Failure::Failed(String::new())) }
    })
    .map_err(|failure| if listening { Fed::File(failure) } else { Fed::NobodyListens })?;
    if send(together) && to.blocking_send(Delivery::Complete).is_ok() {
        Ok(())
    } else {
        Err(Fed::NobodyListens)
    }
}

/// Reads the whole file, and believes it only at its end.
fn read(
    input: &mut File,
    name: &Path,
    mut take: impl FnMut(Moved) -> Result<(), Failure>,
) -> Result<(Header, Census), Failure> {
    let about = |error: StoreError| Failure::Failed(format!("{}: {error}", name.display()));
    let mut input = BufReader::new(input);
    let mut reading = Reading::default();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let length = input.by_ref().take(LONGEST_LINE_BYTES).read_until(b'\n', &mut bytes);
        if length.map_err(|error| failed(name, &error))? == 0 {
            return reading.finish().map_err(about);
        }
        // A line that is too long is cut here, and no JSON then.
        if let Some(record) = reading.line(bytes.trim_ascii_end()).map_err(about)? {
            take(record)?;
        }
    }
}

fn open(file: &Path) -> Result<File, Failure> {
    File::open(file).map_err(|error| failed(file, &error))
}

/// Standard input is read twice, so it is kept meanwhile, in a file without a name that only we can open.
fn spool(loaded: &Loaded) -> Result<File, Failure> {
    let path = loaded.state_dir.join(format!("import.{}", std::process::id()));
    let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
    let mut kept = made.map_err(|error| failed(&path, &error))?;
    fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
    std::io::copy(&mut std::io::stdin().lock(), &mut kept).map_err(|error| failed(&path, &error))?;
    kept.rewind().map_err(|error| failed(&path, &error))?;
    Ok(kept)
}

fn is_dash(file: &Path) -> bool {
    file == Path::new("-")
}

fn failed(file: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", file.display()))
}
