-- One row: one hour and app in which the windows do not add up to the raw events. None is good.
-- {since}, {until}: event time, hours inside the retention of `events`. Duplicates and labels beyond
-- the cap are counted alike on both sides, so every difference is an error.
SELECT t, tenant, app, sum(raw_n) AS events_n, sum(cell_n) AS windows_n,
    sum(raw_tokens) AS events_tokens, sum(cell_tokens) AS windows_tokens
FROM (
    SELECT toStartOfHour(e.ts) AS t, e.tenant AS tenant, e.app AS app, toInt64(count()) AS raw_n,
        toInt64(0) AS cell_n, toInt64(sum(ifNull(e.input_tokens, 0) + ifNull(e.output_tokens, 0))) AS raw_tokens,
        toInt64(0) AS cell_tokens
    FROM events AS e
    WHERE e.kind = 0 AND e.type = 'llm.request' AND e.ts >= {since:DateTime('UTC')} AND e.ts < {until:DateTime('UTC')}
    GROUP BY t, tenant, app
    UNION ALL
    SELECT w.t AS t, w.tenant AS tenant, w.app AS app, 0, toInt64(sum(w.n)), 0, toInt64(sum(w.input_tokens + w.output_tokens))
    FROM windows AS w
    WHERE w.kind = 0 AND w.resolution = {resolution:UInt16} AND w.revision = 0
        AND w.t >= {since:DateTime('UTC')} AND w.t < {until:DateTime('UTC')}
    GROUP BY t, tenant, app
)
GROUP BY toStartOfHour(t) AS t, tenant, app
HAVING events_n != windows_n OR events_tokens != windows_tokens
ORDER BY t, tenant, app
