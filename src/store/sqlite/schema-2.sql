-- Sessions that nobody has a record of, and that are refused until then. Told to memory with those that were revoked.
CREATE TABLE refused (
  id      BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refused_ends ON refused (ends_at);

CREATE TRIGGER session_refused AFTER INSERT ON refused BEGIN
  UPDATE meta SET value = value + 1 WHERE name = 'standing'; END;
