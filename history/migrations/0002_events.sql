-- What happened, and what collectors want to find again after a restart.
-- Times are epoch milliseconds; `before` and `after` are as shown to people.
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

CREATE TABLE memory (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (target, name)
) STRICT;
