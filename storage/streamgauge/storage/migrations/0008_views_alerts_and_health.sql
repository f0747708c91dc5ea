-- light
-- What people query: alerts, loss, freshness. Names are stable, unknown is NULL, money is USD, times are UTC.

-- One row is one alert that is open now. Its last transition.
CREATE OR REPLACE VIEW {{DB}}.v_alerts {{ON_CLUSTER}} AS
SELECT
    a.t AS t,
    a.rule AS rule,
    a.severity AS severity,
    a.status AS status,
    a.transition AS transition,
    nullIf(a.tenant, '') AS tenant,
    nullIf(a.app, '') AS app,
    nullIf(a.team, '') AS team,
    a.value AS value,
    a.threshold AS threshold,
    nullIf(a.unit, '') AS unit,
    nullIf(a.level, '') AS level,
    a.starts_at AS starts_at,
    a.fired_at AS fired_at,
    a.ends_at AS ends_at,
    a.window_start AS window_start,
    a.window_end AS window_end,
    a.labels AS labels,
    a.annotations AS annotations,
    nullIf(a.reason, '') AS reason,
    a.incomplete AS incomplete,
    a.flapping AS flapping,
    a.no_data AS no_data,
    a.stale AS stale,
    a.late_by_ms AS late_by_ms,
    a.exemplars AS exemplars,
    nullIf(a.evidence, '') AS evidence,
    nullIf(a.query, '') AS query,
    nullIf(a.runbook_url, '') AS runbook_url,
    a.rule_version AS rule_version,
    a.rule_kind AS rule_kind,
    a.fingerprint AS fingerprint,
    a.episode AS episode,
    a.seq AS seq,
    a.epoch AS epoch,
    a.id AS id
FROM (
    SELECT * FROM {{FROM:alerts}} WHERE kind = 0
    ORDER BY epoch DESC, seq DESC LIMIT 1 BY fingerprint
) AS a
WHERE a.status IN ('firing', 'recovering', 'nodata')
COMMENT 'One row is one alert that is open now';

ALTER TABLE {{DB}}.v_alerts {{ON_CLUSTER}}
    COMMENT COLUMN t 'Event time of the transition',
    COMMENT COLUMN rule 'Rule',
    COMMENT COLUMN severity 'page, ticket or info',
    COMMENT COLUMN status 'State after the transition',
    COMMENT COLUMN transition 'What happened',
    COMMENT COLUMN tenant 'Tenant',
    COMMENT COLUMN app 'Service',
    COMMENT COLUMN team 'Owner',
    COMMENT COLUMN value 'What was measured',
    COMMENT COLUMN threshold 'What it was compared with',
    COMMENT COLUMN unit 'Unit of both',
    COMMENT COLUMN level 'Level of the ladder',
    COMMENT COLUMN starts_at 'First breach',
    COMMENT COLUMN fired_at 'When it fired',
    COMMENT COLUMN ends_at 'When it resolved',
    COMMENT COLUMN window_start 'Start of the measured stretch',
    COMMENT COLUMN window_end 'Its end, exclusive',
    COMMENT COLUMN labels 'What it is about',
    COMMENT COLUMN annotations 'Texts for people',
    COMMENT COLUMN reason 'Why, if not by the rule',
    COMMENT COLUMN incomplete 'Judged before all sources had reported',
    COMMENT COLUMN flapping 'Fires and resolves again and again',
    COMMENT COLUMN no_data 'There was nothing to judge',
    COMMENT COLUMN stale 'Its series is missing',
    COMMENT COLUMN late_by_ms 'Wall time behind event time at publication',
    COMMENT COLUMN exemplars 'Events that show the trouble',
    COMMENT COLUMN evidence 'By kind of rule, JSON',
    COMMENT COLUMN query 'SQL that reproduces the value',
    COMMENT COLUMN runbook_url 'What to do',
    COMMENT COLUMN rule_version 'Hash of the rule',
    COMMENT COLUMN rule_kind 'Kind of the rule',
    COMMENT COLUMN fingerprint 'Identity of the alert',
    COMMENT COLUMN episode 'Episode',
    COMMENT COLUMN seq 'Order within the fingerprint',
    COMMENT COLUMN epoch 'Generation of the engine',
    COMMENT COLUMN id 'Id of the record';

-- One row is one transition of one alert. Kept 730 days.
CREATE OR REPLACE VIEW {{DB}}.v_alert_history {{ON_CLUSTER}} AS
SELECT
    a.t AS t,
    a.rule AS rule,
    a.severity AS severity,
    a.status AS status,
    a.transition AS transition,
    nullIf(a.tenant, '') AS tenant,
    nullIf(a.app, '') AS app,
    nullIf(a.team, '') AS team,
    a.value AS value,
    a.threshold AS threshold,
    nullIf(a.unit, '') AS unit,
    nullIf(a.level, '') AS level,
    a.starts_at AS starts_at,
    a.fired_at AS fired_at,
    a.ends_at AS ends_at,
    a.window_start AS window_start,
    a.window_end AS window_end,
    a.labels AS labels,
    a.annotations AS annotations,
    nullIf(a.reason, '') AS reason,
    a.incomplete AS incomplete,
    a.flapping AS flapping,
    a.no_data AS no_data,
    a.stale AS stale,
    a.late_by_ms AS late_by_ms,
    a.exemplars AS exemplars,
    nullIf(a.evidence, '') AS evidence,
    nullIf(a.query, '') AS query,
    nullIf(a.runbook_url, '') AS runbook_url,
    a.rule_version AS rule_version,
    a.rule_kind AS rule_kind,
    a.fingerprint AS fingerprint,
    a.episode AS episode,
    a.seq AS seq,
    a.epoch AS epoch,
    a.id AS id
FROM (SELECT * FROM {{FROM:alerts}} WHERE kind = 0 LIMIT 1 BY id) AS a
COMMENT 'One row is one transition of one alert';

ALTER TABLE {{DB}}.v_alert_history {{ON_CLUSTER}}
    COMMENT COLUMN t 'Event time of the transition',
    COMMENT COLUMN rule 'Rule',
    COMMENT COLUMN severity 'page, ticket or info',
    COMMENT COLUMN status 'State after the transition',
    COMMENT COLUMN transition 'What happened',
    COMMENT COLUMN tenant 'Tenant',
    COMMENT COLUMN app 'Service',
    COMMENT COLUMN team 'Owner',
    COMMENT COLUMN value 'What was measured',
    COMMENT COLUMN threshold 'What it was compared with',
    COMMENT COLUMN unit 'Unit of both',
    COMMENT COLUMN level 'Level of the ladder',
    COMMENT COLUMN starts_at 'First breach',
    COMMENT COLUMN fired_at 'When it fired',
    COMMENT COLUMN ends_at 'When it resolved',
    COMMENT COLUMN window_start 'Start of the measured stretch',
    COMMENT COLUMN window_end 'Its end, exclusive',
    COMMENT COLUMN labels 'What it is about',
    COMMENT COLUMN annotations 'Texts for people',
    COMMENT COLUMN reason 'Why, if not by the rule',
    COMMENT COLUMN incomplete 'Judged before all sources had reported',
    COMMENT COLUMN flapping 'Fires and resolves again and again',
    COMMENT COLUMN no_data 'There was nothing to judge',
    COMMENT COLUMN stale 'Its series is missing',
    COMMENT COLUMN late_by_ms 'Wall time behind event time at publication',
    COMMENT COLUMN exemplars 'Events that show the trouble',
    COMMENT COLUMN evidence 'By kind of rule, JSON',
    COMMENT COLUMN query 'SQL that reproduces the value',
    COMMENT COLUMN runbook_url 'What to do',
    COMMENT COLUMN rule_version 'Hash of the rule',
    COMMENT COLUMN rule_kind 'Kind of the rule',
    COMMENT COLUMN fingerprint 'Identity of the alert',
    COMMENT COLUMN episode 'Episode',
    COMMENT COLUMN seq 'Order within the fingerprint',
    COMMENT COLUMN epoch 'Generation of the engine',
    COMMENT COLUMN id 'Id of the record';

-- One row is one client instance: what it sent, what arrived, what is missing. Kept 30 days.
CREATE OR REPLACE VIEW {{DB}}.v_loss {{ON_CLUSTER}} AS
SELECT
    p.producer_id AS producer_id,
    nullIf(p.tenant, '') AS tenant,
    nullIf(p.app, '') AS app,
    nullIf(p.sdk, '') AS sdk,
    nullIf(p.host, '') AS host,
    p.first_ts AS first_ts,
    p.last_ts AS last_ts,
    p.n AS stored,
    p.duplicates AS duplicates,
    p.dead AS dead,
    p.min_seq AS min_seq,
    nullIf(p.max_seq, 0) AS max_seq,
    if(p.max_seq = 0 OR p.min_seq IS NULL, NULL, greatest(0, toInt64(p.max_seq - p.min_seq + 1) - toInt64(p.n) - toInt64(p.dead))) AS missing,
    nullIf(p.accepted, 0) AS accepted,
    nullIf(p.sent, 0) AS sent,
    p.dropped AS dropped,
    arraySum(mapValues(p.dropped)) AS dropped_n,
    p.spooled AS spooled,
    p.errors AS client_errors,
    if(p.last_stats.1 = toDateTime64(0, 3, 'UTC'), NULL, p.last_stats.1) AS heartbeat_at,
    nullIf(p.last_stats.2, '') AS heartbeat
FROM (
    SELECT s.producer_id AS producer_id, anyLast(s.tenant) AS tenant, anyLast(s.app) AS app, anyLast(s.sdk) AS sdk, anyLast(s.host) AS host,
        sum(s.n) AS n, sum(s.duplicates) AS duplicates, sum(s.dead) AS dead, min(s.min_seq) AS min_seq, max(s.max_seq) AS max_seq,
        min(s.first_ts) AS first_ts, max(s.last_ts) AS last_ts, max(s.accepted) AS accepted, max(s.sent) AS sent,
        max(s.spooled) AS spooled, max(s.errors) AS errors, maxMap(s.dropped) AS dropped, max(s.last_stats) AS last_stats
    FROM {{FROM:producers}} AS s
    WHERE s.kind = 0
    GROUP BY s.producer_id
) AS p
COMMENT 'One row is one client instance: what it sent, what arrived, what is missing';

ALTER TABLE {{DB}}.v_loss {{ON_CLUSTER}}
    COMMENT COLUMN producer_id 'Client instance',
    COMMENT COLUMN tenant 'Tenant',
    COMMENT COLUMN app 'Service',
    COMMENT COLUMN sdk 'Sending library',
    COMMENT COLUMN host 'Machine',
    COMMENT COLUMN first_ts 'First event seen',
    COMMENT COLUMN last_ts 'Last event seen',
    COMMENT COLUMN stored 'Events that were stored',
    COMMENT COLUMN duplicates 'Events that came twice and were dropped',
    COMMENT COLUMN dead 'Events that were refused',
    COMMENT COLUMN min_seq 'Lowest number seen',
    COMMENT COLUMN max_seq 'Highest number seen',
    COMMENT COLUMN missing 'Numbers between min_seq and max_seq that never came',
    COMMENT COLUMN accepted 'Client\'s count: taken from the app',
    COMMENT COLUMN sent 'Client\'s count: acknowledged by Kafka',
    COMMENT COLUMN dropped 'Client\'s count: dropped, by reason',
    COMMENT COLUMN dropped_n 'Client\'s count: dropped',
    COMMENT COLUMN spooled 'Client\'s count: written to disk',
    COMMENT COLUMN client_errors 'Client\'s count: errors',
    COMMENT COLUMN heartbeat_at 'Last heartbeat',
    COMMENT COLUMN heartbeat 'Last heartbeat, JSON';

-- One row is one message that was refused. Kept 14 days.
CREATE OR REPLACE VIEW {{DB}}.v_dead_letters {{ON_CLUSTER}} AS
SELECT
    d.append_ts AS append_ts,
    d.reason AS reason,
    nullIf(d.detail, '') AS detail,
    d.src AS src,
    d.partition AS partition,
    d.offset AS offset,
    d.size AS size,
    d.raw AS raw
FROM {{FROM:dead_letters}} AS d FINAL
WHERE d.kind = 0
COMMENT 'One row is one message that was refused';

ALTER TABLE {{DB}}.v_dead_letters {{ON_CLUSTER}}
    COMMENT COLUMN append_ts 'When Kafka took the message',
    COMMENT COLUMN reason 'Why it was refused, a code',
    COMMENT COLUMN detail 'Why, in words',
    COMMENT COLUMN src 'Source: topic@id',
    COMMENT COLUMN partition 'Kafka partition',
    COMMENT COLUMN offset 'Kafka offset',
    COMMENT COLUMN size 'Bytes of the message',
    COMMENT COLUMN raw 'The message, base64, at most 8 KiB of it';

-- One row is one source partition as one writer has it: position, lag, watermark.
CREATE OR REPLACE VIEW {{DB}}.v_freshness {{ON_CLUSTER}} AS
SELECT
    p.writer AS writer,
    p.source AS source,
    p.position AS position,
    if(l.source = '', NULL, greatest(l.end_offset, p.position)) AS end_offset,
    if(l.source = '', NULL, greatest(l.end_offset, p.position) - p.position) AS lag,
    if(l.source = '', NULL, if(greatest(l.end_offset, p.position) = 0, 1., p.position / greatest(l.end_offset, p.position))) AS completeness,
    if(l.source = '' OR l.max_ts = toDateTime64(0, 3, 'UTC'), NULL, l.max_ts) AS watermark,
    if(l.source = '' OR l.last_append = toDateTime64(0, 3, 'UTC'), NULL, l.last_append) AS last_append,
    if(l.source = '' OR l.written_at = toDateTime64(0, 3, 'UTC'), NULL, l.written_at) AS written_at
FROM (
    SELECT writer, pair.1 AS source, pair.2 AS position
    FROM (
        SELECT 'metrics' AS writer, maxMap(next) AS stored FROM {{FROM:windows}} WHERE kind = 1
        UNION ALL
        SELECT 'scores' AS writer, maxMap(next) AS stored FROM {{FROM:score_windows}} WHERE kind = 1
        UNION ALL
        SELECT 'drift' AS writer, maxMap(next) AS stored FROM {{FROM:histograms}} WHERE kind = 1
    )
    ARRAY JOIN CAST(stored, 'Array(Tuple(String, UInt64))') AS pair
) AS p
LEFT JOIN (
    SELECT concat(src, '/', toString(partition)) AS source, max(end_offset) AS end_offset, max(max_ts) AS max_ts,
        max(last_append) AS last_append, max(written_at) AS written_at
    FROM {{FROM:ingest_log}}
    WHERE kind = 0
    GROUP BY source
) AS l ON l.source = p.source
COMMENT 'One row is one source partition as one writer has it: position, lag, watermark';

ALTER TABLE {{DB}}.v_freshness {{ON_CLUSTER}}
    COMMENT COLUMN writer 'metrics, scores or drift',
    COMMENT COLUMN source 'Source partition: topic@id/partition',
    COMMENT COLUMN position 'Next offset to be read',
    COMMENT COLUMN end_offset 'End of the partition as the metrics worker last saw it; NULL: not seen yet',
    COMMENT COLUMN lag 'end_offset - position',
    COMMENT COLUMN completeness 'position / end_offset',
    COMMENT COLUMN watermark 'Latest event time that was stored',
    COMMENT COLUMN last_append 'When Kafka took the last message that was read',
    COMMENT COLUMN written_at 'Last flush of the metrics worker';
