//! All of the file out, and into a new one. What goes out is one moment of the file, however long it takes and whoever
//! writes meanwhile; what comes in is one transaction: all of it or nothing.

use std::thread;

use rusqlite::{Connection, OpenFlags, Row, named_params, params};
use tokio::sync::{mpsc, oneshot};

use super::thread::Tx;
use super::{Sqlite, connect, keys, links, people, sessions};
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::store::transfer::{
    Census, Delivery, Moved, MovedCodeFailure, MovedEpoch, MovedEvent, MovedLink, MovedPerson, MovedRefused,
    MovedSession,
};
use crate::store::{AuditEvent, StoreError};

/// Records that travel together.
const TOGETHER: usize = 500;

type Out = mpsc::Sender<Vec<Moved>>;

impl Sqlite {
    /// On a thread and a connection of its own: nobody else waits for a reader who is slow.
    pub(in crate::store) async fn export(&self, out: Out) -> Result<(), StoreError> {
        let path = self.path.clone();
        let (done, outcome) = oneshot::channel();
        let work = move || {
            let outcome = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
                .and_then(|mut connection| write_out(&mut connection, &out));
            // Who asked may have gone.
            let _ = done.send(outcome);
        };
        thread::Builder::new()
            .name("store-export".to_owned())
            .spawn(work)
            .map_err(|error| StoreError::Away(format!("no thread for it: {error}")))?;
        outcome.await.unwrap_or_else(|_| Err(StoreError::Away("the export failed; see the log".to_owned())))
    }

    pub(in crate::store) async fn import(
        &self,
        mut records: mpsc::Receiver<Delivery>,
    ) -> Result<Census, StoreError> {
        let take = move |tx: &Tx<'_>| {
            census(tx)?.must_be_empty()?;
            // The epoch that every new file begins with: nothing was signed in it that is still of use.
            tx.execute("DELETE FROM epochs", [])?;
            let mut taken = Census::default();
            loop {
                match records.blocking_recv() {
                    Some(Delivery::Records(records)) => {
                        for record in records {
                            taken.count(&record);
                            put(tx, record)?;
                        }
                    }
                    Some(Delivery::Complete) => return Ok(taken),
                    None => {
                        return Err(StoreError::Invalid(
                            "the import was broken off; nothing was changed".to_owned(),
                        ));
                    }
                }
            }
        };
        self.writer.ask(take).await
    }
}

fn census(connection: &Connection) -> Result<Census, StoreError> {
    let count = |table: &str| -> Result<u64, StoreError> {
        let counted: i64 =
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        Ok(u64::try_from(counted).unwrap_or(0))
    };
    Ok(Census {
        epochs: count("epochs")?,
        people: count("people")?,
        sessions: count("sessions")?,
        refused: count("refused")?,
        links: count("links")?,
        code_failures: count("code_failures")?,
        audit: count("audit")?,
    })
}

fn write_out(connection: &mut Connection, out: &Out) -> Result<(), StoreError> {
    // One transaction sees one moment.
    let tx = connection.transaction()?;
    let mut epochs = keys::epochs(&tx)?;
    epochs.reverse();
    send(out, epochs.into_iter().map(|epoch| Moved::Epoch(MovedEpoch::of(epoch))).collect())?;
    for people in people::people(&tx, "?1 IS NULL", None)?.chunks(TOGETHER) {
        send(out, people.iter().cloned().map(|person| Moved::Person(MovedPerson::of(person))).collect())?;
    }
    rows(&tx, out, &format!("SELECT {} FROM sessions", sessions::COLUMNS), |row| {
        Ok(Moved::Session(MovedSession::of(sessions::record(row)?)))
    })?;
    rows(&tx, out, "SELECT id, ends_at FROM refused", |row| {
        Ok(Moved::Refused(MovedRefused { id: row.get("id")?, ends_at: row.get("ends_at")? }))
    })?;
    rows(&tx, out, &format!("SELECT code_tag, {} FROM links ORDER BY number", links::COLUMNS), |row| {
        Ok(Moved::Link(MovedLink::of(links::record(row)?, row.get("code_tag")?)))
    })?;
    rows(&tx, out, "SELECT site, email, at FROM code_failures ORDER BY at", |row| {
        let (site, email, at) = (row.get("site")?, row.get("email")?, row.get("at")?);
        Ok(Moved::CodeFailure(MovedCodeFailure { site, email, at }))
    })?;
    rows(
        &tx,
        out,
        "SELECT at, site, email, what, request, client, detail FROM audit ORDER BY number",
        |row| Ok(Moved::Audit(MovedEvent::of(event(row)?))),
    )
}

fn event(row: &Row<'_>) -> rusqlite::Result<AuditEvent> {
    Ok(AuditEvent {
        at: row.get("at")?,
        site: row.get("site")?,
        email: row.get("email")?,
        what: row.get("what")?,
        request: row.get("request")?,
        client: row.get("client")?,
        detail: row.get("detail")?,
    })
}

fn rows(
    tx: &Connection,
    out: &Out,
    sql: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<Moved>,
) -> Result<(), StoreError> {
    let mut statement = tx.prepare(sql)?;
    let mut together = Vec::new();
    for row in statement.query_map([], read)? {
        together.push(row?);
        if together.len() == TOGETHER {
            send(out, std::mem::take(&mut together))?;
        }
    }
    send(out, together)
}

fn send(out: &Out, records: Vec<Moved>) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    out.blocking_send(records).map_err(|_| StoreError::Away("nobody reads the export any more".to_owned()))
}

fn put(tx: &Tx<'_>, record: Moved) -> Result<(), StoreError> {
    match record {
        Moved::Epoch(epoch) => {
            tx.prepare_cached("INSERT INTO epochs (id, created_at, accepted_until) VALUES (?1, ?2, ?3)")?
                .execute(params![epoch.id, epoch.created_at, epoch.accepted_until])?;
        }
        Moved::Person(person) => put_person(tx, person)?,
        Moved::Session(session) => put_session(tx, &session)?,
        Moved::Refused(MovedRefused { id, ends_at }) => {
            sessions::refuse(tx, id, ends_at)?;
        }
        Moved::Link(link) => put_link(tx, &link)?,
        Moved::CodeFailure(MovedCodeFailure { site, email, at }) => put_failure(tx, &site, &email, at)?,
        Moved::Audit(event) => super::audit::put(tx, &event.into_event())?,
    }
    Ok(())
}

fn put_failure(tx: &Tx<'_>, site: &str, email: &EmailAddress, at: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT INTO code_failures (site, email, at) VALUES (?1, ?2, ?3)")?
        .execute(params![site, email, at])?;
    Ok(())
}

fn put_person(tx: &Tx<'_>, person: MovedPerson) -> Result<(), StoreError> {
    let person = person.into_person();
    if let Some(profile) = &person.profile {
        people::put(tx, &person.site, profile)?;
    }
    tx.prepare_cached(
        "INSERT INTO people (site, email, generation) VALUES (?1, ?2, ?3) \
         ON CONFLICT (site, email) DO UPDATE SET generation = excluded.generation",
    )?
    .execute(params![
        person.site,
        person.email,
        i64::try_from(person.generation).unwrap_or(i64::MAX)
    ])?;
    Ok(())
}

fn put_session(tx: &Tx<'_>, session: &MovedSession) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO sessions (id, site, email, generation, created_at, seen_at, ends_at, idle_until, device, client, \
           revoked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        session.id,
        session.site,
        session.email,
        i64::try_from(session.generation).unwrap_or(i64::MAX),
        session.created_at,
        session.seen_at,
        session.ends_at,
        session.idle_until,
        session.device,
        session.client,
        session.revoked_at,
    ])?;
    Ok(())
}

fn put_link(tx: &Tx<'_>, link: &MovedLink) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO links (id, token_hash, site, email, nonce_hash, code_tag, code_seed, return_to, created_at, \
           expires_at, uses, uses_left, used_at, session, revoked_at, wrong_tries, code_tries, again_used, by_hand, note) \
         VALUES (:id, :token_hash, :site, :email, :nonce_hash, :code_tag, :code_seed, :return_to, :created_at, \
           :expires_at, :uses, :uses_left, :used_at, :session, :revoked_at, :wrong_tries, :code_tries, :again_used, \
           :by_hand, :note)",
    )?
    .execute(named_params! {
        ":id": link.id,
        ":token_hash": link.token_hash,
        ":site": link.site,
        ":email": link.email,
        ":nonce_hash": link.nonce_hash,
        ":code_tag": link.code_tag,
        ":code_seed": link.code_seed,
        ":return_to": link.return_to,
        ":created_at": link.created_at,
        ":expires_at": link.expires_at,
        ":uses": link.uses,
        ":uses_left": link.uses_left,
        ":used_at": link.used_at,
        ":session": link.session,
        ":revoked_at": link.revoked_at,
        ":wrong_tries": link.wrong_tries,
        ":code_tries": link.code_tries,
        ":again_used": link.again_used,
        ":by_hand": link.by_hand,
        ":note": link.note,
    })?;
    Ok(())
}
