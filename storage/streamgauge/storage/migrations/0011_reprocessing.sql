-- light
-- Reprocessing: windows of whole hours under a new revision (docs/decisions/0023). Revisions are of
-- `windows` alone: views of scores show what the scores worker wrote. Positions of `windows` that are no
-- source partition (the revision that its writers know) are no source in v_freshness.

-- One row is one hour of one tenant that a run of `streamgauge reprocess` rebuilds, or has rebuilt, under
-- a revision. Kept for good.
CREATE TABLE IF NOT EXISTS {{DB}}.reprocessing {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`',
    written_on Date COMMENT 'Day on which the run began',
    revision UInt32 CODEC(T64, ZSTD(1)) COMMENT 'Revision of `windows` that the run writes',
    tenant LowCardinality(String) COMMENT 'Tenant',
    t DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Hour, UTC',
    reason String CODEC(ZSTD(1)) COMMENT 'Why it is reprocessed',
    price_book LowCardinality(String) COMMENT 'Version of the price book that the run uses',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: revision -> the highest that was given to a run',
    PROJECTION positions (SELECT kind, maxMap(next) GROUP BY kind)
)
ENGINE = {{ENGINE:MergeTree}}
ORDER BY (kind, revision, tenant, t)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'One row is one hour of one tenant that a run rebuilds, or has rebuilt, under a revision';

ALTER TABLE {{DB}}.windows {{ON_CLUSTER}}
    COMMENT COLUMN revision '0: as the stream counted it; others: reprocessed, see `revisions`. Of a marker: the highest that its writer knew',
    COMMENT COLUMN next 'Of a marker: source partition (topic@id/partition) -> next offset to read; and the revision that its writer knew';

-- One row is one score (v_toxicity: of Detoxify) in one minute of one combination of labels. Kept 90 days.
CREATE OR REPLACE VIEW {{DB}}.v_scores {{ON_CLUSTER}} AS
SELECT
    w.t AS t,
    w.tenant AS tenant,
    w.app AS app,
    w.env AS env,
    w.provider AS provider,
    w.model AS model,
    nullIf(w.prompt_name, '') AS prompt_name,
    nullIf(w.prompt_version, '') AS prompt_version,
    w.side AS side,
    w.scorer AS scorer,
    w.scorer_version AS scorer_version,
    w.name AS name,
    w.n AS requests,
    w.scored_n AS scored,
    if(w.n > 0, w.scored_n / w.n, NULL) AS coverage,
    if(w.weight_e6_sum > 0, w.weighted_value_e6_sum / w.weight_e6_sum, NULL) AS mean,
    if(w.weight_e6_sum > 0, w.weighted_hits_50_e6_sum / w.weight_e6_sum, NULL) AS share_50,
    if(w.weight_e6_sum > 0, w.weighted_hits_90_e6_sum / w.weight_e6_sum, NULL) AS share_90,
    w.hits_50 AS hits_50,
    w.hits_90 AS hits_90,
    if(w.scored_n > 1, sqrt(greatest(0, (w.value_sq_e6_sum / 1e6 - pow(w.value_e6_sum / 1e6, 2) / w.scored_n) / (w.scored_n - 1))), NULL) AS stddev,
    w.statuses AS statuses,
    w.value_hist AS value_hist
FROM (
    SELECT s.t AS t, s.tenant AS tenant, s.app AS app, s.env AS env, s.provider AS provider, s.model AS model, s.prompt_name AS prompt_name, s.prompt_version AS prompt_version, s.side AS side, s.scorer AS scorer, s.scorer_version AS scorer_version, s.name AS name,
        sum(s.n) AS n, sum(s.scored_n) AS scored_n, sum(s.value_e6_sum) AS value_e6_sum, sum(s.value_sq_e6_sum) AS value_sq_e6_sum, sum(s.hits_50) AS hits_50, sum(s.hits_90) AS hits_90, sum(s.weight_e6_sum) AS weight_e6_sum, sum(s.weight_sq_e6_sum) AS weight_sq_e6_sum, sum(s.weighted_value_e6_sum) AS weighted_value_e6_sum, sum(s.weighted_hits_50_e6_sum) AS weighted_hits_50_e6_sum, sum(s.weighted_hits_90_e6_sum) AS weighted_hits_90_e6_sum,
        sumMap(s.statuses) AS statuses, sumMap(s.value_hist) AS value_hist
    FROM {{FROM:score_windows}} AS s
    WHERE s.kind = 0 AND s.resolution = 60 AND s.revision = 0
    GROUP BY s.t, s.tenant, s.app, s.env, s.provider, s.model, s.prompt_name, s.prompt_version, s.side, s.scorer, s.scorer_version, s.name
) AS w
COMMENT 'One row is one score in one minute of one combination of labels';

ALTER TABLE {{DB}}.v_scores {{ON_CLUSTER}}
    COMMENT COLUMN t 'Start of the minute, UTC',
    COMMENT COLUMN tenant 'Tenant',
    COMMENT COLUMN app 'Service',
    COMMENT COLUMN env 'Environment',
    COMMENT COLUMN provider 'Provider',
    COMMENT COLUMN model 'Model as asked for',
    COMMENT COLUMN prompt_name 'Prompt template',
    COMMENT COLUMN prompt_version 'Its version',
    COMMENT COLUMN side 'prompt, response or pair',
    COMMENT COLUMN scorer 'Scorer',
    COMMENT COLUMN scorer_version 'Its version',
    COMMENT COLUMN name 'Score, such as readability',
    COMMENT COLUMN requests 'Requests, whatever became of their text',
    COMMENT COLUMN scored 'Requests with a value',
    COMMENT COLUMN coverage 'scored / requests',
    COMMENT COLUMN mean 'Mean over all requests, sampling weighed out; NULL: nothing was scored',
    COMMENT COLUMN share_50 'Share of values of at least 0.5, sampling weighed out',
    COMMENT COLUMN share_90 'Share of values of at least 0.9, sampling weighed out',
    COMMENT COLUMN hits_50 'Scored values of at least 0.5',
    COMMENT COLUMN hits_90 'Scored values of at least 0.9',
    COMMENT COLUMN stddev 'Standard deviation of the scored values',
    COMMENT COLUMN statuses 'Status -> requests; adds up to requests',
    COMMENT COLUMN value_hist 'Values: bin floor(64 x) -> n';

-- One row is one score (v_toxicity: of Detoxify) in one minute of one combination of labels. Kept 90 days.
CREATE OR REPLACE VIEW {{DB}}.v_toxicity {{ON_CLUSTER}} AS
SELECT
    w.t AS t,
    w.tenant AS tenant,
    w.app AS app,
    w.env AS env,
    w.provider AS provider,
    w.model AS model,
    nullIf(w.prompt_name, '') AS prompt_name,
    nullIf(w.prompt_version, '') AS prompt_version,
    w.side AS side,
    w.scorer AS scorer,
    w.scorer_version AS scorer_version,
    w.name AS name,
    w.n AS requests,
    w.scored_n AS scored,
    if(w.n > 0, w.scored_n / w.n, NULL) AS coverage,
    if(w.weight_e6_sum > 0, w.weighted_value_e6_sum / w.weight_e6_sum, NULL) AS mean,
    if(w.weight_e6_sum > 0, w.weighted_hits_50_e6_sum / w.weight_e6_sum, NULL) AS share_50,
    if(w.weight_e6_sum > 0, w.weighted_hits_90_e6_sum / w.weight_e6_sum, NULL) AS share_90,
    w.hits_50 AS hits_50,
    w.hits_90 AS hits_90,
    if(w.scored_n > 1, sqrt(greatest(0, (w.value_sq_e6_sum / 1e6 - pow(w.value_e6_sum / 1e6, 2) / w.scored_n) / (w.scored_n - 1))), NULL) AS stddev,
    w.statuses AS statuses,
    w.value_hist AS value_hist
FROM (
    SELECT s.t AS t, s.tenant AS tenant, s.app AS app, s.env AS env, s.provider AS provider, s.model AS model, s.prompt_name AS prompt_name, s.prompt_version AS prompt_version, s.side AS side, s.scorer AS scorer, s.scorer_version AS scorer_version, s.name AS name,
        sum(s.n) AS n, sum(s.scored_n) AS scored_n, sum(s.value_e6_sum) AS value_e6_sum, sum(s.value_sq_e6_sum) AS value_sq_e6_sum, sum(s.hits_50) AS hits_50, sum(s.hits_90) AS hits_90, sum(s.weight_e6_sum) AS weight_e6_sum, sum(s.weight_sq_e6_sum) AS weight_sq_e6_sum, sum(s.weighted_value_e6_sum) AS weighted_value_e6_sum, sum(s.weighted_hits_50_e6_sum) AS weighted_hits_50_e6_sum, sum(s.weighted_hits_90_e6_sum) AS weighted_hits_90_e6_sum,
        sumMap(s.statuses) AS statuses, sumMap(s.value_hist) AS value_hist
    FROM {{FROM:score_windows}} AS s
    WHERE s.kind = 0 AND s.resolution = 60 AND s.scorer = 'detoxify' AND s.revision = 0
    GROUP BY s.t, s.tenant, s.app, s.env, s.provider, s.model, s.prompt_name, s.prompt_version, s.side, s.scorer, s.scorer_version, s.name
) AS w
COMMENT 'One row is the toxicity of one minute of one combination of labels, from Detoxify only';

ALTER TABLE {{DB}}.v_toxicity {{ON_CLUSTER}}
    COMMENT COLUMN t 'Start of the minute, UTC',
    COMMENT COLUMN tenant 'Tenant',
    COMMENT COLUMN app 'Service',
    COMMENT COLUMN env 'Environment',
    COMMENT COLUMN provider 'Provider',
    COMMENT COLUMN model 'Model as asked for',
    COMMENT COLUMN prompt_name 'Prompt template',
    COMMENT COLUMN prompt_version 'Its version',
    COMMENT COLUMN side 'prompt, response or pair',
    COMMENT COLUMN scorer 'Scorer',
    COMMENT COLUMN scorer_version 'Its version',
    COMMENT COLUMN name 'Label of the model, such as toxicity or insult',
    COMMENT COLUMN requests 'Requests, whatever became of their text',
    COMMENT COLUMN scored 'Requests with a value',
    COMMENT COLUMN coverage 'scored / requests',
    COMMENT COLUMN mean 'Mean over all requests, sampling weighed out; NULL: nothing was scored',
    COMMENT COLUMN share_50 'Share of values of at least 0.5, sampling weighed out',
    COMMENT COLUMN share_90 'Share of values of at least 0.9, sampling weighed out',
    COMMENT COLUMN hits_50 'Scored values of at least 0.5',
    COMMENT COLUMN hits_90 'Scored values of at least 0.9',
    COMMENT COLUMN stddev 'Standard deviation of the scored values',
    COMMENT COLUMN statuses 'Status -> requests; adds up to requests',
    COMMENT COLUMN value_hist 'Values: bin floor(64 x) -> n';

-- One row is one source partition as one writer has it: position, lag, latest times (see 0010).
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
    ARRAY JOIN CAST(mapFilter((key, at) -> position(key, '/') > 0, stored), 'Array(Tuple(String, UInt64))') AS pair
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
