-- What somebody has found an alert to be: real or false.
INSERT OR REPLACE INTO mark (episode, at, verdict, by) VALUES (?, ?, ?, ?)
