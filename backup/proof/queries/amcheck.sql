-- Whether the extension that looks into heaps and indexes can be had here.
SELECT EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'amcheck')
