-- Where the server's own configuration lies; rows are missing for a role without pg_read_all_settings. PostgreSQL 13.
SELECT name::text, setting::text
FROM pg_settings
WHERE name IN ('data_directory', 'config_file', 'hba_file', 'ident_file',
               'ssl_cert_file', 'ssl_key_file', 'ssl_ca_file', 'ssl_crl_file', 'ssl_dh_params_file')
  AND setting <> ''
