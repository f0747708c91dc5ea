-- One row: what one table takes on disk, over its active parts. Largest first.
SELECT
    t.name AS table, ifNull(p.rows, 0) AS rows, ifNull(p.parts, 0) AS parts,
    ifNull(p.bytes, 0) AS bytes, nullIf(p.since, toDate(0)) AS since, nullIf(p.until, toDate(0)) AS until
FROM system.tables AS t
LEFT JOIN (
    SELECT table, sum(rows) AS rows, count() AS parts, sum(bytes_on_disk) AS bytes,
        min(toDateOrZero(partition)) AS since, max(toDateOrZero(partition)) AS until
    FROM system.parts
    WHERE active AND database = currentDatabase()
    GROUP BY table
) AS p ON p.table = t.name
WHERE t.database = currentDatabase() AND t.engine LIKE '%MergeTree'
ORDER BY bytes DESC, table
