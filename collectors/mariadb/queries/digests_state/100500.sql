-- Whether the server keeps the books on statements, and since when it runs.
SELECT
    @@GLOBAL.performance_schema AS switched_on,
    UNIX_TIMESTAMP(SYSDATE(6)) AS now,
    (
        SELECT variable_value
        FROM information_schema.global_status
        WHERE variable_name = 'UPTIME'
    ) AS uptime
