-- Open InnoDB transactions, and those that wait for a row. Without PROCESS the server refuses this one with an error,
-- while information_schema.processlist would merely show too little: so it is asked first, and tells for both.
-- trx_started is the one moment that the server tells in the time of its machine, whatever the session's zone (UTC) is.
SELECT
    COUNT(*) AS transactions,
    COALESCE(SUM(trx_state = 'LOCK WAIT'), 0) AS waiting,
    GREATEST(
        COALESCE(MAX(TIMESTAMPDIFF(MICROSECOND, CONVERT_TZ(trx_started, 'SYSTEM', '+00:00'), SYSDATE(6))), 0), 0
    ) / 1e6 AS longest_seconds
FROM information_schema.innodb_trx
WHERE trx_mysql_thread_id <> CONNECTION_ID()
