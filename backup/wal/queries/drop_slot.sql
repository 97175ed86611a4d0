-- Away with a slot whose WAL the server has removed: it can never be used again. One in use is left alone.
select pg_drop_replication_slot(slot_name)
from pg_replication_slots
where slot_name = $1 and slot_type = 'physical' and not active
