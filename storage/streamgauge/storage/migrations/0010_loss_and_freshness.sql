-- light
-- What was lost and how fresh it is, as far as that can be known.

-- One row is one client instance: what it sent, what arrived, what is missing. Kept 30 days.
-- A client numbers from 1 without gaps, and a heartbeat takes a number too. `accepted` of a heartbeat
-- counts everything handed to the client and its heartbeats, itself included; less what was dropped
-- without a number, these are the numbers that it had given or was about to give. So numbers run from
-- 1 to the higher of that and max_seq, and what was neither stored nor refused of them is missing.
-- Reasons not named here may leave no gap, and are taken as such: never more is missing than is proven.
-- Rows of a client that is older than the retention are gone in part. Where that may be (it is of the
-- oldest day that is kept, and markers, which are kept for good, tell of older ones) numbers count
-- from min_seq.
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
    if(p.min_seq IS NULL, NULL, greatest(0, greatest(toInt64(p.max_seq), p.told) - if(p.whole, 0, p.min_seq - 1) - toInt64(p.n) - toInt64(p.dead))) AS missing,
    if(p.min_seq IS NULL OR NOT p.whole, NULL, p.min_seq - 1) AS missing_before,
    if(p.min_seq IS NULL OR p.accepted = 0, NULL, greatest(0, p.told - toInt64(p.max_seq))) AS missing_after,
    nullIf(p.accepted, 0) AS accepted,
    nullIf(p.sent, 0) AS sent,
    p.dropped AS dropped,
    arraySum(mapValues(p.dropped)) AS dropped_n,
    p.spooled AS spooled,
    p.errors AS client_errors,
    if(p.last_stats.1 = toDateTime64(0, 3, 'UTC'), NULL, p.last_stats.1) AS heartbeat_at,
    nullIf(p.last_stats.2, '') AS heartbeat
FROM (
    SELECT c.*,
        toInt64(c.accepted) - toInt64(arraySum(mapValues(mapFilter((reason, dropped_n) -> reason NOT IN
            ('delivery_timeout', 'unknown_topic', 'refused', 'delivery_failed', 'purged', 'unconfirmed'), c.dropped)))) AS told,
        c.first_day > k.oldest OR k.oldest <= k.began AS whole
    FROM (
        SELECT s.producer_id AS producer_id, anyLast(s.tenant) AS tenant, anyLast(s.app) AS app, anyLast(s.sdk) AS sdk, anyLast(s.host) AS host,
            sum(s.n) AS n, sum(s.duplicates) AS duplicates, sum(s.dead) AS dead, toInt64(min(s.min_seq)) AS min_seq, max(s.max_seq) AS max_seq,
            min(s.first_ts) AS first_ts, max(s.last_ts) AS last_ts, max(s.accepted) AS accepted, max(s.sent) AS sent,
            max(s.spooled) AS spooled, max(s.errors) AS errors, maxMap(s.dropped) AS dropped, max(s.last_stats) AS last_stats,
            min(s.written_on) AS first_day
        FROM {{FROM:producers}} AS s
        WHERE s.kind = 0
        GROUP BY s.producer_id
    ) AS c
    CROSS JOIN (
        SELECT minIf(d.written_on, d.kind = 0) AS oldest, minIf(d.written_on, d.kind = 1) AS began
        FROM {{FROM:producers}} AS d
    ) AS k
) AS p
COMMENT 'One row is one client instance: what it sent, what arrived, what is missing by its numbers and its last heartbeat. What a client that was killed had accepted after that heartbeat is in no count';

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
    COMMENT COLUMN missing 'Events that never came, or are still on their way: below min_seq, between, and above max_seq as far as the last heartbeat tells. What was accepted after it cannot be known. NULL: does not number its events',
    COMMENT COLUMN missing_before 'Of those: below min_seq, also if Kafka had deleted them before this store first read. NULL: older than the retention, then numbers count from min_seq',
    COMMENT COLUMN missing_after 'Of those: above max_seq; they waited in the client at its last heartbeat. NULL: no heartbeat',
    COMMENT COLUMN accepted 'Client\'s count: taken from the app, and its own heartbeats',
    COMMENT COLUMN sent 'Client\'s count: acknowledged by Kafka',
    COMMENT COLUMN dropped 'Client\'s count: dropped, by reason',
    COMMENT COLUMN dropped_n 'Client\'s count: dropped',
    COMMENT COLUMN spooled 'Client\'s count: written to disk',
    COMMENT COLUMN client_errors 'Client\'s count: errors',
    COMMENT COLUMN heartbeat_at 'Last heartbeat',
    COMMENT COLUMN heartbeat 'Last heartbeat, JSON';

-- One row is one source partition as one writer has it: position, lag, latest times.
-- The store has positions of every writer, but times only of what the metrics worker logged: events
-- up to last_offset of ingest_log. A writer that is not past that offset may lack the latest of them,
-- so its times are not known (its ticks have them). Lateness is a setting of the stack.
CREATE OR REPLACE VIEW {{DB}}.v_freshness {{ON_CLUSTER}} AS
SELECT
    p.writer AS writer,
    p.source AS source,
    p.position AS position,
    if(l.source = '', NULL, greatest(l.end_offset, p.position)) AS end_offset,
    if(l.source = '', NULL, greatest(l.end_offset, p.position) - p.position) AS lag,
    if(l.source = '', NULL, if(greatest(l.end_offset, p.position) = 0, 1., p.position / greatest(l.end_offset, p.position))) AS completeness,
    if(l.source = '' OR p.position <= l.last_offset OR l.max_ts = toDateTime64(0, 3, 'UTC'), NULL, l.max_ts) AS max_ts,
    if(l.source = '' OR p.position <= l.last_offset OR l.last_append = toDateTime64(0, 3, 'UTC'), NULL, l.last_append) AS last_append,
    if(max_ts IS NULL OR last_append IS NULL, NULL, least(max_ts, last_append)) AS watermark,
    if(l.source = '' OR p.writer != 'metrics' OR l.written_at = toDateTime64(0, 3, 'UTC'), NULL, l.written_at) AS written_at
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
    SELECT concat(src, '/', toString(partition)) AS source, max(end_offset) AS end_offset, max(last_offset) AS last_offset,
        max(max_ts) AS max_ts, max(last_append) AS last_append, max(written_at) AS written_at
    FROM {{FROM:ingest_log}}
    WHERE kind = 0
    GROUP BY source
) AS l ON l.source = p.source
COMMENT 'One row is one source partition as one writer has it: position, lag, latest times';

ALTER TABLE {{DB}}.v_freshness {{ON_CLUSTER}}
    COMMENT COLUMN writer 'metrics, scores or drift',
    COMMENT COLUMN source 'Source partition: topic@id/partition',
    COMMENT COLUMN position 'Next offset to be read',
    COMMENT COLUMN end_offset 'End of the partition as the metrics worker last saw it; NULL: not seen yet',
    COMMENT COLUMN lag 'end_offset - position',
    COMMENT COLUMN completeness 'Share of the source partition that is stored: position / end_offset',
    COMMENT COLUMN max_ts 'Latest event time that this writer has stored; NULL: not known, as while it is behind the metrics worker',
    COMMENT COLUMN last_append 'When Kafka took the last message that this writer has stored; NULL as max_ts',
    COMMENT COLUMN watermark 'Lower of max_ts and last_append; less the lateness of the stack it is the watermark of the writer\'s ticks. NULL: not known',
    COMMENT COLUMN written_at 'Last flush of the metrics worker; NULL for the others, whose flushes are not logged';

-- Tables that nothing fills yet say so, where people read what they are.
ALTER TABLE {{DB}}.prices {{ON_CLUSTER}}
    MODIFY COMMENT 'Nothing fills this yet. One row is one price of one model from a moment on. Prices are those of the package genai-prices; price_book in v_requests names its version';

ALTER TABLE {{DB}}.changes {{ON_CLUSTER}}
    MODIFY COMMENT 'Nothing fills this yet. One row is one change that was seen, such as a new served model';

ALTER TABLE {{DB}}.directive_log {{ON_CLUSTER}}
    MODIFY COMMENT 'Nothing fills this yet. One row is one directive as issued or withdrawn';

-- One row is one change that was seen, such as a new served model. Kept 730 days. None yet.
CREATE OR REPLACE VIEW {{DB}}.v_changes {{ON_CLUSTER}} AS
SELECT
    c.t AS t,
    c.tenant AS tenant,
    c.app AS app,
    c.change AS change,
    c.subject AS subject,
    nullIf(c.before, '') AS before,
    c.after AS after,
    c.n AS n,
    nullIf(c.evidence, '') AS evidence
FROM {{FROM:changes}} AS c FINAL
WHERE c.kind = 0
COMMENT 'One row is one change that was seen, such as a new served model. Nothing fills this yet: no row does not mean no change';

ALTER TABLE {{DB}}.v_changes {{ON_CLUSTER}}
    COMMENT COLUMN t 'When, UTC',
    COMMENT COLUMN tenant 'Tenant',
    COMMENT COLUMN app 'Service',
    COMMENT COLUMN change 'What changed',
    COMMENT COLUMN subject 'Of what',
    COMMENT COLUMN before 'Old value',
    COMMENT COLUMN after 'New value',
    COMMENT COLUMN n 'Requests with the new value when it was seen',
    COMMENT COLUMN evidence 'Details, JSON';
