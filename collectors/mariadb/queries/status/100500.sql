-- The counters that are named in collectors/mariadb/counters.py, and no other: the server has some five hundred.
SHOW GLOBAL STATUS WHERE variable_name IN %s
