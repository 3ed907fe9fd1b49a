-- Version 1. Text is compared bytewise everywhere, so that both stores have one order.
CREATE TABLE entry (
    leaf_index bigint PRIMARY KEY CHECK (leaf_index >= 0),
    stream     text COLLATE "C" NOT NULL,
    sequence   bigint NOT NULL CHECK (sequence >= 1),
    command    uuid NOT NULL,
    leaf_hash  bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    body       json NOT NULL
);
CREATE UNIQUE INDEX entry_stream_sequence ON entry (stream, sequence);
CREATE UNIQUE INDEX entry_command ON entry (command);

CREATE TABLE head (
    id          integer PRIMARY KEY CHECK (id = 1),
    origin      text COLLATE "C" NOT NULL,
    size        bigint NOT NULL CHECK (size >= 1),
    root        bytea NOT NULL CHECK (octet_length(root) = 32),
    seal        bytea NOT NULL CHECK (octet_length(seal) = 32),
    recorded_at text COLLATE "C" NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE disclosure (
    digest     text COLLATE "C" PRIMARY KEY CHECK (length(digest) = 43),
    leaf_index bigint NOT NULL,
    disclosure text COLLATE "C" NOT NULL
);
CREATE INDEX disclosure_leaf_index ON disclosure (leaf_index);

CREATE TABLE projection (
    name         text COLLATE "C" NOT NULL,
    generation   bigint NOT NULL,
    fold_version bigint NOT NULL,
    next_leaf    bigint NOT NULL CHECK (next_leaf >= 0),
    active       boolean NOT NULL,
    PRIMARY KEY (name, generation)
);
CREATE UNIQUE INDEX projection_active ON projection (name) WHERE active;

CREATE TABLE projection_row (
    projection text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    key        text COLLATE "C" NOT NULL,
    body       json NOT NULL,
    PRIMARY KEY (projection, generation, key)
);

-- As postgres-es 0.5.0 reads it. Type and version stand in the payload; extracting them costs more than the read.
CREATE VIEW events AS
SELECT left(stream, strpos(stream, '/') - 1) AS aggregate_type,
       stream AS aggregate_id,
       sequence,
       'Entry'::text AS event_type,
       '1'::text AS event_version,
       body AS payload,
       json_build_object('leaf_hash', encode(leaf_hash, 'hex'), 'leaf_index', leaf_index::text) AS metadata
FROM entry;
