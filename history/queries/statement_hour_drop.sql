-- One hour past its time.
DELETE FROM statement_hour WHERE at >= :start AND at < :end
