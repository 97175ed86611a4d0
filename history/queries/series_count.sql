-- How many series there are, for the bound on them.
SELECT count(*) FROM series
