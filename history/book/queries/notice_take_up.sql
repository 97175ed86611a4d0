-- After a crash nobody knows whether these went out. An action is not begun twice: whoever starts settles it.
UPDATE notice SET standing = 'pending', perhaps_sent = 1 WHERE standing = 'inflight' AND what <> 'action'
