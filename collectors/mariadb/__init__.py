"""MariaDB and MySQL: counters, replication, sizes, statements. The driver is loaded at the first connection."""
