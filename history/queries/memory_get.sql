-- A collector's words.
SELECT body FROM memory WHERE target = ? AND name = ?
