-- The newest moment that came back with a restore.
select extract(epoch from at)::float8 as at from {schema}.heartbeat
