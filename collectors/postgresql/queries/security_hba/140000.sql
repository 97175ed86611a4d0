-- Toban: the rules of pg_hba.conf as the file has them now. Whoever is no superuser needs a GRANT for it.
-- PostgreSQL 14 and later.
select 'pg_hba.conf' as file, line_number, type, coalesce(auth_method, '') as auth_method,
    coalesce(address, '') as address, coalesce(netmask, '') as netmask,
    array_to_string(database, ',') as databases, array_to_string(user_name, ',') as users,
    coalesce(error, '') as error
from pg_hba_file_rules
order by line_number
limit $1
