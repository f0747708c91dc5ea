"""Queries of the audit (audit.py). `PERIOD`, `{start}`, `{end}`: event time, ms since the epoch."""

from __future__ import annotations

MOST = 1000
"""Rows of one answer: enough to see what is wrong."""

# ingest_log counts from the first offset that its writer ever took, or still keeps.
OFFSETS = """
SELECT if(l.src = '', r.src, l.src) AS source, if(l.src = '', r.partition, l.partition) AS number,
    l.begin AS begin, l.counted AS counted, l.kept AS kept, m.position AS position, r.n AS raw
FROM (
    SELECT src, partition, min(first_offset) AS begin, sum(n) AS counted,
        sumIf(n, outcome IN ('stored', 'unknown_type')) AS kept
    FROM ingest_log WHERE kind = 0 AND written_on >= {day:Date} GROUP BY src, partition
) AS l
FULL OUTER JOIN (
    SELECT src, partition, count() AS n
    FROM events WHERE kind = 0 AND written_on >= {day:Date} GROUP BY src, partition
) AS r ON r.src = l.src AND r.partition = l.partition
LEFT JOIN (
    SELECT arrayJoin(stored) AS entry, entry.1 AS key, entry.2 AS position
    FROM (SELECT CAST(maxMap(next), 'Array(Tuple(String, UInt64))') AS stored
        FROM ingest_log WHERE kind = 1)
) AS m ON m.key = concat(l.src, '/', toString(l.partition))
ORDER BY source, number
"""

PERIOD = """
    ts >= fromUnixTimestamp64Milli({start:Int64}) AND ts < fromUnixTimestamp64Milli({end:Int64})
"""
WINDOW_PERIOD = PERIOD.replace("ts ", "t ")

HOURS = f"""
SELECT DISTINCT toStartOfHour(ts) AS hour FROM events WHERE kind = 0 AND {PERIOD} ORDER BY hour
"""  # noqa: S608  # PERIOD is ours

TWICE = f"""
SELECT concat(src, '/', toString(partition)) AS place, 'offset' AS what,
    uniqExact(offset) AS expected, count() AS found
FROM events WHERE kind = 0 AND {PERIOD}
GROUP BY src, partition HAVING expected != found
UNION ALL
SELECT concat('producer ', producer_id, ' in ', src, '/', toString(partition)) AS place,
    'seq' AS what, uniqExact(seq) AS expected, count() AS found
FROM events WHERE kind = 0 AND producer_id != '' AND seq IS NOT NULL AND {PERIOD}
GROUP BY producer_id, src, partition HAVING expected != found
ORDER BY place LIMIT {MOST}
"""  # noqa: S608  # PERIOD is ours

RAW_HOURS = f"""
SELECT toStartOfHour(ts) AS hour, written_on AS day, count() AS n,
    countIf(status = 'error') AS errors,
    sum(coalesce(input_tokens, 0)) AS input_tokens,
    sum(coalesce(output_tokens, 0)) AS output_tokens,
    sum(coalesce(cost_nano_usd, 0)) AS cost_nano_usd,
    sum(toInt64(roundBankers(coalesce(duration_ms, 0) * 1000))) AS duration_us_sum
FROM events WHERE kind = 0 AND type = 'llm.request' AND {PERIOD}
GROUP BY hour, day
"""  # noqa: S608  # PERIOD is ours

WINDOW_HOURS = f"""
SELECT toStartOfHour(t) AS hour, written_on AS day, sum(n) AS n, sum(errors) AS errors,
    sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
    sum(cost_nano_usd) AS cost_nano_usd, sum(duration_us_sum) AS duration_us_sum
FROM windows AS s WHERE kind = 0 AND resolution = {{resolution:UInt16}} AND REVISION
    AND {WINDOW_PERIOD}
GROUP BY hour, day
"""  # noqa: S608  # PERIOD is ours

COUNTED = "revision = 0"
SHOWN = """
(revision = 0
    AND (tenant, toStartOfHour(s.t)) NOT IN (SELECT tenant, t FROM revisions FINAL)
    OR (tenant, toStartOfHour(s.t), revision) IN (SELECT tenant, t, revision FROM revisions FINAL))
"""

REBUILT_HOURS = f"""
SELECT DISTINCT t AS hour FROM revisions FINAL WHERE revision > 0 AND {WINDOW_PERIOD}
"""  # noqa: S608  # PERIOD is ours

# `producers` is written every 10 s, so its first rows are of events of before this day, too:
# clients of days on which one table still caught up with the other are left out.
CLIENTS = f"""
WITH (
    SELECT groupUniqArray(producer_id) FROM (
        SELECT toString(producer_id) AS producer_id FROM producers
        WHERE kind = 0 AND written_on >= {{day:Date}} AND written_on < {{counted:Date}}
        UNION ALL
        SELECT toString(producer_id) AS producer_id FROM events
        WHERE kind = 0 AND written_on >= {{day:Date}} AND written_on < {{stored:Date}}
    )
) AS older
SELECT concat('producer ', if(c.producer_id = '', r.producer_id, c.producer_id)) AS place,
    r.n AS expected, c.n AS found
FROM (
    SELECT producer_id, sum(n) AS n
    FROM producers WHERE kind = 0 AND written_on >= {{day:Date}} GROUP BY producer_id
) AS c
FULL OUTER JOIN (
    SELECT toString(producer_id) AS producer_id, count() AS n
    FROM events WHERE kind = 0 AND written_on >= {{day:Date}} AND producer_id != ''
    GROUP BY producer_id
) AS r ON r.producer_id = c.producer_id
WHERE c.n != r.n AND NOT has(older, c.producer_id) AND NOT has(older, r.producer_id)
ORDER BY place LIMIT {MOST}
"""  # noqa: S608  # MOST is ours

# Only clients that have fewer rows than numbers in the period are looked at closely, with their
# rows of other times: numbers without a gap are known by how many they are, and by their sum.
GAPS = f"""
SELECT producer_id, sum(number - before - 1) AS missing, min(before + 1) AS lowest,
    max(number - 1) AS highest
FROM (
    SELECT e.producer_id AS producer_id, e.number AS number,
        lagInFrame(e.number, 1, e.number) OVER (
            PARTITION BY e.producer_id ORDER BY e.number
            ROWS BETWEEN 1 PRECEDING AND CURRENT ROW
        ) AS before
    FROM (
        SELECT toString(producer_id) AS producer_id, assumeNotNull(seq) AS number
        FROM events
        WHERE kind = 0 AND seq IS NOT NULL AND written_on >= {{day:Date}}
    ) AS e
    INNER JOIN (
        SELECT toString(producer_id) AS producer_id, min(assumeNotNull(seq)) AS low,
            max(assumeNotNull(seq)) AS high, high - low + 1 AS span
        FROM events
        WHERE kind = 0 AND producer_id != '' AND seq IS NOT NULL AND written_on >= {{day:Date}}
            AND {PERIOD}
        GROUP BY producer_id
        HAVING count() != span
            OR sum(assumeNotNull(seq)) != toUInt64(low * span + intDiv(span * (span - 1), 2))
        ORDER BY producer_id LIMIT {MOST}
    ) AS p ON p.producer_id = e.producer_id
    WHERE e.number >= p.low AND e.number <= p.high
)
WHERE number > before + 1
GROUP BY producer_id ORDER BY producer_id
"""  # noqa: S608  # PERIOD is ours

POSITION = """
SELECT toString(mapFilter((k, v) -> position(k, '/') > 0, maxMap(next))) AS at
FROM {table} WHERE kind = 1
"""
