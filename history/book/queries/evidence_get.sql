-- What was seen when an alert fired.
SELECT body FROM evidence WHERE episode = ?
