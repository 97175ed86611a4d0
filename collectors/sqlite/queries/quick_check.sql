-- Structure of every page, without comparing indexes with their tables; the first errors are enough.
-- Lowest version: SQLite 3.6.
PRAGMA quick_check(10)
