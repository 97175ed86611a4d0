-- The book of alerts. Moments are epoch seconds. `body` is JSON: what is asked by has a column, the rest is in there.
CREATE TABLE alert (
    id INTEGER PRIMARY KEY,
    episode TEXT NOT NULL UNIQUE,
    rule TEXT NOT NULL,
    target TEXT NOT NULL,
    labels TEXT NOT NULL,
    severity TEXT NOT NULL,
    worst INTEGER NOT NULL, -- the highest rank it has had
    state TEXT NOT NULL,
    started_at REAL NOT NULL,
    fired_at REAL,
    acknowledged_at REAL, -- the first time
    changed_at REAL NOT NULL,
    resolved_at REAL,
    test INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX alert_started ON alert (started_at);
CREATE INDEX alert_open ON alert (id) WHERE resolved_at IS NULL;
CREATE INDEX alert_resolved ON alert (resolved_at) WHERE resolved_at IS NOT NULL;

CREATE TABLE transition (
    episode TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    at REAL NOT NULL,
    before TEXT,
    after TEXT NOT NULL,
    severity TEXT NOT NULL,
    value REAL, -- null is NaN
    what TEXT,
    reason TEXT NOT NULL,
    by TEXT NOT NULL,
    PRIMARY KEY (episode, sequence)
) STRICT, WITHOUT ROWID;

-- The outbox. `body` has what never changes (the alert as it was when this was decided).
CREATE TABLE notice (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    episode TEXT NOT NULL,
    channel TEXT NOT NULL,
    what TEXT NOT NULL,
    created_at REAL NOT NULL,
    standing TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_at REAL NOT NULL,
    settled_at REAL,
    detail TEXT NOT NULL,
    receipt TEXT NOT NULL,
    perhaps_sent INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX notice_episode ON notice (episode);
CREATE INDEX notice_waiting ON notice (id) WHERE standing IN ('pending', 'inflight');
CREATE INDEX notice_dead ON notice (id) WHERE standing = 'dead';
CREATE INDEX notice_dropped ON notice (detail) WHERE standing = 'dropped';
CREATE INDEX notice_settled ON notice (settled_at) WHERE settled_at IS NOT NULL;

CREATE TABLE silence (
    id TEXT PRIMARY KEY,
    created_at REAL NOT NULL,
    begins_at REAL NOT NULL,
    ends_at REAL NOT NULL,
    ended_by TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE evidence (
    episode TEXT PRIMARY KEY,
    at REAL NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE mark (
    episode TEXT PRIMARY KEY,
    at REAL NOT NULL,
    verdict TEXT NOT NULL,
    by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE fact (
    name TEXT PRIMARY KEY,
    value REAL NOT NULL
) STRICT, WITHOUT ROWID;
