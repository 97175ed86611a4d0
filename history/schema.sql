-- The state file as it is now. migrations/ leads here, step by step; a test holds the two together.

-- Who was measured: one row a series. `labels` is canonical JSON (keys sorted, no spaces).
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    metric TEXT NOT NULL,
    labels TEXT NOT NULL,
    type TEXT NOT NULL,
    unit TEXT NOT NULL,
    first_at INTEGER NOT NULL, -- epoch milliseconds
    last_at INTEGER NOT NULL,  -- epoch milliseconds, brought up to date hourly
    UNIQUE (target, metric, labels)
) STRICT;

-- What arrived, in the order of arrival: one row a collection, so that a commit touches one page. Packed hourly.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL, -- epoch milliseconds
    body BLOB NOT NULL
) STRICT;
CREATE INDEX journal_at ON journal (at);

-- The same, packed: one row a series and stretch of time. A reading is in one place only; it moves on by age.
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY,
    resolution INTEGER NOT NULL, -- seconds a slot; 0 holds the readings themselves
    start INTEGER NOT NULL,      -- epoch seconds
    series_id INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX chunk_place ON chunk (resolution, start, series_id);

-- Which statements were seen, what they cost in each interval, and what they cost in each hour once that is old.
CREATE TABLE statement (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    queryid TEXT NOT NULL,
    datname TEXT NOT NULL,
    usename TEXT NOT NULL,
    UNIQUE (target, queryid, datname, usename)
) STRICT;

CREATE TABLE statement_text (
    target TEXT NOT NULL,
    queryid TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (target, queryid)
) STRICT, WITHOUT ROWID;

CREATE TABLE statement_use (
    at INTEGER NOT NULL, -- epoch seconds, the end of the interval
    statement_id INTEGER NOT NULL,
    interval_seconds REAL NOT NULL,
    calls REAL NOT NULL,
    seconds REAL NOT NULL,
    rows REAL NOT NULL,
    hit_blocks REAL NOT NULL,
    read_blocks REAL NOT NULL,
    temp_blocks REAL NOT NULL,
    PRIMARY KEY (at, statement_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE statement_hour (
    at INTEGER NOT NULL, -- epoch seconds, the beginning of the hour
    statement_id INTEGER NOT NULL,
    interval_seconds REAL NOT NULL,
    calls REAL NOT NULL,
    seconds REAL NOT NULL,
    rows REAL NOT NULL,
    hit_blocks REAL NOT NULL,
    read_blocks REAL NOT NULL,
    temp_blocks REAL NOT NULL,
    PRIMARY KEY (at, statement_id)
) STRICT, WITHOUT ROWID;

-- Single numbers that outlive the process, such as how far the history's own present has come.
CREATE TABLE fact (
    name TEXT PRIMARY KEY,
    value REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- What happened. Times are epoch milliseconds; `before` and `after` are as shown to people.
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    target TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX event_at ON event (at);

-- What collectors want to find again after a restart of the daemon: their own words.
CREATE TABLE memory (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (target, name)
) STRICT;
