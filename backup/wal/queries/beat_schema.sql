-- The one thing that Toban ever creates in a database of yours, and only where the heartbeat is switched on.
create schema if not exists {schema}
