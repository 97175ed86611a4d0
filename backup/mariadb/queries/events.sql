-- The databases that have events of their own.
SELECT DISTINCT event_schema FROM information_schema.events
