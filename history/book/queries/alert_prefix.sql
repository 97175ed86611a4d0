-- The episodes that begin like this: no character of an id comes after a tilde.
SELECT body FROM alert WHERE episode >= :prefix AND episode < :prefix || '~' ORDER BY episode LIMIT 4
