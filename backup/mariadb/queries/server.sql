-- What server it is, where its files are, and whether it keeps a binary log.
SELECT @@version, @@version_comment, @@datadir, @@log_bin
