-- what is going on now, per app, in the last 15 minutes?
SELECT app, sum(requests) AS requests, sum(errors) AS errors, max(latency_p95_ms) AS worst_p95_ms, sum(cost_usd) AS usd
FROM v_minute WHERE t > now() - INTERVAL 15 MINUTE GROUP BY app ORDER BY requests DESC;

-- p95 latency by app and minute, the last hour
SELECT app, t, requests, latency_p95_ms FROM v_minute WHERE t > now() - INTERVAL 1 HOUR ORDER BY app, t;

-- what did each app and model cost today?
SELECT app, model, sum(cost_usd) AS usd FROM v_hour WHERE t >= today() GROUP BY app, model ORDER BY usd DESC;

-- which errors, where?
SELECT app, model, error_type, count() AS n FROM v_requests WHERE status = 'error' GROUP BY ALL ORDER BY n DESC LIMIT 10;

-- which alerts are open?
SELECT * FROM v_alerts;

-- is anything lost between an app and the store?
SELECT * FROM v_loss;

-- how fresh and how complete are the numbers?
SELECT * FROM v_freshness;

-- what was refused, and why?
SELECT reason, count() AS n FROM v_dead_letters GROUP BY reason ORDER BY n DESC;

-- which tables and columns are there?
SELECT table, name, type, comment FROM system.columns WHERE database = currentDatabase() AND startsWith(table, 'v_') ORDER BY table, position;
