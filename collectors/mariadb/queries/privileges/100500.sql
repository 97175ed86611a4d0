-- What our role may do everywhere: information_schema shows a table only to those who have some privilege on it. A user's
-- name may hold an @, and what the roles bring that are granted to it nobody tells it: ROLE stands for that.
SELECT privilege_type AS name
FROM information_schema.user_privileges
WHERE grantee = CONCAT(
    '''',
    LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)) - 1),
    '''@''',
    SUBSTRING_INDEX(CURRENT_USER(), '@', -1),
    ''''
)
UNION ALL
SELECT 'ROLE'
FROM information_schema.enabled_roles
WHERE role_name IS NOT NULL
