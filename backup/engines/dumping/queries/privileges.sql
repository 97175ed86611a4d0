-- Who may do what with this database itself. Its owner comes first, PUBLIC has no name.
SELECT
    CASE WHEN acl.grantee = 0 THEN NULL ELSE pg_get_userbyid(acl.grantee) END AS grantee,
    acl.privilege_type AS privilege,
    acl.is_grantable AS grantable
FROM pg_database AS d, aclexplode(d.datacl) AS acl
WHERE d.datname = current_database()
ORDER BY acl.grantee <> d.datdba, acl.grantee, acl.privilege_type
