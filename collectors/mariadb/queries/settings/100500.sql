-- The settings that are named in collectors/mariadb/settings.py, and no other.
SHOW GLOBAL VARIABLES WHERE variable_name IN %s
