-- One row, updated again and again: room on its page keeps each update from touching an index.
create table if not exists {schema}.heartbeat (
    id boolean primary key default true check (id),
    at timestamptz not null,
    beats bigint not null,
    node text not null
) with (fillfactor = 10)
