-- What our role may do everywhere: information_schema shows a table only to those who have some privilege on it.
SELECT privilege_type AS name
FROM information_schema.user_privileges
WHERE grantee = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')
