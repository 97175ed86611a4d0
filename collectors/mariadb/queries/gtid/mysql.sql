-- MySQL's sets of transactions have no last one that could be a number.
SELECT '' AS position
