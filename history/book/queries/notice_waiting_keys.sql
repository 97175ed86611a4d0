-- The keys of what is still to be told, the oldest first.
SELECT key FROM notice WHERE standing IN ('pending', 'inflight') ORDER BY id
