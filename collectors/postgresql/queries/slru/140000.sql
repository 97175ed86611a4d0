-- The small caches before pg_xact, pg_multixact, pg_subtrans and their kin: a read there is a miss that somebody waited
-- for. One read of shared memory. From 14 on; their names changed in 17.
select name, blks_hit as hits, blks_read as reads, blks_written as writes
from pg_stat_slru
