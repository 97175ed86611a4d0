-- Toban: the rules of pg_hba.conf and of the files that it includes (since PostgreSQL 16), as they are now. Whoever is
-- no superuser needs a GRANT for it. PostgreSQL 16 and later.
select regexp_replace(file_name, '^.*/', '') as file, line_number, type, coalesce(auth_method, '') as auth_method,
    coalesce(address, '') as address, coalesce(netmask, '') as netmask,
    array_to_string(database, ',') as databases, array_to_string(user_name, ',') as users,
    coalesce(error, '') as error
from pg_hba_file_rules
order by rule_number nulls first, file_name, line_number
limit $1
