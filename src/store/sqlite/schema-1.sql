-- Times are milliseconds since the Unix epoch. Hashes and ids of sessions are raw bytes.

-- Raised by the triggers below with everything that snapshot() reads.
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('standing', 1);

CREATE TABLE links (
  number      INTEGER PRIMARY KEY,
  id          TEXT NOT NULL UNIQUE,
  token_hash  BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
  site        TEXT NOT NULL,
  email       TEXT NOT NULL,
  nonce_hash  BLOB,
  code_tag    BLOB,
  code_seed   BLOB,
  return_to   TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER,
  uses        INTEGER,
  uses_left   INTEGER CHECK (uses_left >= 0),
  used_at     INTEGER,
  session     BLOB,
  revoked_at  INTEGER,
  wrong_tries INTEGER NOT NULL DEFAULT 0,
  code_tries  INTEGER NOT NULL DEFAULT 0,
  again_used  INTEGER NOT NULL DEFAULT 0,
  by_hand     INTEGER NOT NULL,
  note        TEXT NOT NULL
) STRICT;
CREATE INDEX links_nonce ON links (nonce_hash) WHERE nonce_hash IS NOT NULL;
CREATE INDEX links_email ON links (email);
CREATE INDEX links_expires ON links (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX links_used ON links (used_at) WHERE uses_left = 0;
CREATE INDEX links_revoked ON links (revoked_at) WHERE revoked_at IS NOT NULL;

-- One row a wrong code, kept for a day.
CREATE TABLE code_failures (site TEXT NOT NULL, email TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE INDEX code_failures_email ON code_failures (site, email, at);
CREATE INDEX code_failures_at ON code_failures (at);

CREATE TABLE sessions (
  id         BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  site       TEXT NOT NULL,
  email      TEXT NOT NULL,
  generation INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at    INTEGER NOT NULL,
  ends_at    INTEGER NOT NULL,
  idle_until INTEGER NOT NULL,
  device     TEXT NOT NULL,
  client     TEXT NOT NULL,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_email ON sessions (email);
CREATE INDEX sessions_ends ON sessions (ends_at);
CREATE INDEX sessions_revoked ON sessions (ends_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE tickets (
  ticket_hash BLOB NOT NULL PRIMARY KEY CHECK (length(ticket_hash) = 32),
  session     BLOB NOT NULL,
  origin      TEXT NOT NULL,
  nonce_hash  BLOB NOT NULL,
  return_to   TEXT NOT NULL,
  expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tickets_expires ON tickets (expires_at);

-- present = 0: nobody added this person, only the generation is kept.
CREATE TABLE people (
  site          TEXT NOT NULL,
  email         TEXT NOT NULL,
  generation    INTEGER NOT NULL DEFAULT 0,
  present       INTEGER NOT NULL DEFAULT 0,
  name          TEXT NOT NULL DEFAULT '',
  id            TEXT NOT NULL DEFAULT '',
  memberships   TEXT NOT NULL DEFAULT '[]',
  attributes    TEXT NOT NULL DEFAULT '{}',
  until         INTEGER,
  disabled      INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (site, email)
) STRICT, WITHOUT ROWID;

-- sealed is NULL once the body is erased; finished_at is set with it, or when the letter died.
CREATE TABLE letters (
  number      INTEGER PRIMARY KEY,
  id          TEXT NOT NULL UNIQUE,
  link        TEXT,
  site        TEXT NOT NULL,
  email       TEXT NOT NULL,
  sealed      BLOB,
  state       INTEGER NOT NULL,
  attempts    INTEGER NOT NULL DEFAULT 0,
  next_at     INTEGER,
  holder      TEXT NOT NULL DEFAULT '',
  error       TEXT NOT NULL DEFAULT '',
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER,
  finished_at INTEGER
) STRICT;
CREATE INDEX letters_next ON letters (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX letters_expires ON letters (expires_at) WHERE sealed IS NOT NULL AND expires_at IS NOT NULL;
CREATE INDEX letters_finished ON letters (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX letters_link ON letters (link) WHERE link IS NOT NULL;

CREATE TABLE audit (
  number  INTEGER PRIMARY KEY AUTOINCREMENT,
  at      INTEGER NOT NULL,
  site    TEXT NOT NULL,
  email   TEXT NOT NULL,
  what    TEXT NOT NULL,
  request TEXT NOT NULL,
  client  TEXT NOT NULL,
  detail  TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_email ON audit (email, at);
CREATE INDEX audit_request ON audit (request);

CREATE TABLE epochs (
  number         INTEGER PRIMARY KEY AUTOINCREMENT,
  id             TEXT NOT NULL UNIQUE,
  created_at     INTEGER NOT NULL,
  accepted_until INTEGER
) STRICT;

CREATE TRIGGER people_added AFTER INSERT ON people BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'standing'; END;
CREATE TRIGGER people_changed AFTER UPDATE ON people BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'standing'; END;
CREATE TRIGGER people_removed AFTER DELETE ON people BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'standing'; END;
CREATE TRIGGER session_ended AFTER UPDATE OF revoked_at ON sessions
  WHEN NEW.revoked_at IS NOT OLD.revoked_at BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'standing'; END;
CREATE TRIGGER epoch_added AFTER INSERT ON epochs BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'standing'; END;
CREATE TRIGGER epoch_changed AFTER UPDATE ON epochs BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'standing'; END;
CREATE TRIGGER epoch_removed AFTER DELETE ON epochs BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'standing'; END;
