-- Open InnoDB transactions, and those that wait for a row. Without PROCESS the server refuses this one with an error,
-- while information_schema.processlist would merely show too little: so it is asked first, and tells for both.
SELECT
    COUNT(*) AS transactions,
    COALESCE(SUM(trx_state = 'LOCK WAIT'), 0) AS waiting,
    COALESCE(MAX(TIMESTAMPDIFF(MICROSECOND, trx_started, SYSDATE(6))), 0) / 1e6 AS longest_seconds
FROM information_schema.innodb_trx
WHERE trx_mysql_thread_id <> CONNECTION_ID()
