-- The same, where MySQL has it. Written from its documentation; not tested.
SELECT
    @@GLOBAL.performance_schema AS switched_on,
    UNIX_TIMESTAMP(SYSDATE(6)) AS now,
    (
        SELECT variable_value
        FROM performance_schema.global_status
        WHERE variable_name = 'Uptime'
    ) AS uptime
