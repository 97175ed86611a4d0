-- A transaction with a time in it. With synchronous standbys away it must not hang: what it proves is the WAL.
insert into {schema}.heartbeat as known (at, beats, node)
values (clock_timestamp(), 1, $1)
on conflict (id) do update set at = excluded.at, beats = known.beats + 1, node = excluded.node
returning extract(epoch from at)::float8 as at
