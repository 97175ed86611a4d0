-- One row for each connection to a primary; none on a server that is no replica. Wants SLAVE MONITOR.
SHOW ALL SLAVES STATUS
