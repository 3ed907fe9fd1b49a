-- Version 1. STRICT tables refuse values of another type.
CREATE TABLE entry (
    leaf_index INTEGER PRIMARY KEY CHECK (leaf_index >= 0),
    stream     TEXT NOT NULL,
    sequence   INTEGER NOT NULL CHECK (sequence >= 1),
    command    BLOB NOT NULL CHECK (length(command) = 16),
    leaf_hash  BLOB NOT NULL CHECK (length(leaf_hash) = 32),
    body       TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX entry_stream_sequence ON entry (stream, sequence);
CREATE UNIQUE INDEX entry_command ON entry (command);

CREATE TABLE head (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    origin      TEXT NOT NULL,
    size        INTEGER NOT NULL CHECK (size >= 1),
    root        BLOB NOT NULL CHECK (length(root) = 32),
    seal        BLOB NOT NULL CHECK (length(seal) = 32),
    recorded_at TEXT NOT NULL
) STRICT;

CREATE TABLE disclosure (
    digest     TEXT PRIMARY KEY CHECK (length(digest) = 43),
    leaf_index INTEGER NOT NULL,
    disclosure TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX disclosure_leaf_index ON disclosure (leaf_index);

CREATE TABLE projection (
    name         TEXT NOT NULL,
    generation   INTEGER NOT NULL,
    fold_version INTEGER NOT NULL,
    next_leaf    INTEGER NOT NULL CHECK (next_leaf >= 0),
    active       INTEGER NOT NULL CHECK (active IN (0, 1)),
    PRIMARY KEY (name, generation)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX projection_active ON projection (name) WHERE active = 1;

CREATE TABLE projection_row (
    projection TEXT NOT NULL,
    generation INTEGER NOT NULL,
    key        TEXT NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (projection, generation, key)
) STRICT, WITHOUT ROWID;

-- As sqlite-es 0.5.0 reads it. Type and version stand in the payload; extracting them costs more than the read.
CREATE VIEW events AS
SELECT substr(stream, 1, instr(stream, '/') - 1) AS aggregate_type,
       stream AS aggregate_id,
       sequence,
       'Entry' AS event_type,
       '1' AS event_version,
       body AS payload,
       '{"leaf_hash":"' || lower(hex(leaf_hash)) || '","leaf_index":"' || leaf_index || '"}' AS metadata
FROM entry;
