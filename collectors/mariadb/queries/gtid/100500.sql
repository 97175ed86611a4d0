-- The last transaction of each replication domain that this server has, its own and replicated ones.
SELECT @@GLOBAL.gtid_current_pos AS position
