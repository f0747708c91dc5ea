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
