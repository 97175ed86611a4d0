-- The databases that can be visited, asked on the visit to the one that the DSN names. From 14 on.
select datname
from pg_database
where datallowconn and not datistemplate
order by datname
