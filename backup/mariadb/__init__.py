"""A MariaDB or MySQL server, as far as backups are concerned: the way in, what is in it, one to throw away."""
