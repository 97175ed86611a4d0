-- Toban: how the server is guarded, in one row: settings, sessions that came over the network without TLS, and whether
-- everybody may create objects in this database's schema `public` (the default before PostgreSQL 15). PostgreSQL 14 and later.
select
    current_setting('ssl')::boolean as ssl,
    current_setting('password_encryption') as password_encryption,
    current_setting('listen_addresses') as listen_addresses,
    current_setting('data_checksums')::boolean as data_checksums,
    current_setting('log_connections') as log_connections,
    current_database() as datname,
    pg_has_role('pg_read_all_stats', 'usage') as sees_sessions,
    (
        select count(*)
        from pg_stat_activity a
        left join pg_stat_ssl s on s.pid = a.pid
        where a.client_addr is not null and not coalesce(s.ssl, false)
            and not (a.client_addr <<= '127.0.0.0/8' or a.client_addr = '::1')
    ) as plain_remote,
    (
        select count(*)
        from pg_stat_activity a
        left join pg_stat_ssl s on s.pid = a.pid
        where a.client_addr is not null and not coalesce(s.ssl, false)
            and (a.client_addr <<= '127.0.0.0/8' or a.client_addr = '::1')
    ) as plain_loopback,
    exists (
        select
        from pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) as granted
        where n.nspname = 'public' and granted.grantee = 0 and granted.privilege_type = 'CREATE'
    ) as public_create
