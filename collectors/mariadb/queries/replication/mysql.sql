-- One row for each channel; none on a server that is no replica. Written from MySQL's documentation; not tested.
SHOW REPLICA STATUS
