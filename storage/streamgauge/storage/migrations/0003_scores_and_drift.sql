-- light
-- Scores and drift: written by the scores and drift workers.

-- One row adds to one cell of one score. Kept 90 days. Statuses add up to the requests seen.
CREATE TABLE IF NOT EXISTS {{DB}}.score_windows {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    resolution UInt16 CODEC(T64, ZSTD(1)) COMMENT 'Length of the window, s: 10, 60 or 3600',
    tenant LowCardinality(String) COMMENT 'Tenant',
    t DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Start of the window, UTC',
    app LowCardinality(String) COMMENT 'Service',
    env LowCardinality(String) COMMENT 'Environment',
    provider LowCardinality(String) COMMENT 'Provider',
    model LowCardinality(String) COMMENT 'Model as asked for',
    prompt_name LowCardinality(String) COMMENT 'Prompt template; empty: none',
    prompt_version LowCardinality(String) COMMENT 'Its version; empty: none',
    revision UInt32 CODEC(T64, ZSTD(1)) COMMENT '0: live; others: reprocessed, see `revisions`',
    side LowCardinality(String) COMMENT 'prompt, response or pair',
    scorer LowCardinality(String) COMMENT 'Scorer',
    scorer_version LowCardinality(String) COMMENT 'Its version',
    name LowCardinality(String) COMMENT 'Score, such as toxicity',
    n SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Requests, whatever became of their text',
    statuses SimpleAggregateFunction(sumMap, Map(String, UInt64)) CODEC(ZSTD(1)) COMMENT 'Status -> requests; adds up to n',
    scored_n SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Requests with a value',
    value_e6_sum SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)) COMMENT 'Sum of values, 1e-6',
    value_sq_e6_sum SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)) COMMENT 'Sum of squared values, 1e-6',
    hits_50 SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Values of at least 0.5',
    hits_90 SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Values of at least 0.9',
    weight_e6_sum SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)) COMMENT 'Sum of sampling weights of the scored, 1e-6',
    weight_sq_e6_sum SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)) COMMENT 'Sum of squared weights of the scored, 1e-6: effective n = weight_sum^2 / weight_sq_sum',
    weighted_value_e6_sum SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)) COMMENT 'Sum of weight x value, 1e-6',
    weighted_hits_50_e6_sum SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)) COMMENT 'Sum of weights of values of at least 0.5, 1e-6',
    weighted_hits_90_e6_sum SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)) COMMENT 'Sum of weights of values of at least 0.9, 1e-6',
    value_hist SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)) CODEC(ZSTD(1)) COMMENT 'Values: bin floor(64 x), at most 63 -> n',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read'
)
ENGINE = {{ENGINE:AggregatingMergeTree}}
PARTITION BY written_on
ORDER BY (kind, resolution, tenant, toStartOfHour(t), app, env, provider, model, prompt_name, prompt_version, side, scorer, scorer_version, name, revision, t)
TTL written_on + INTERVAL 90 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
COMMENT 'One row adds to one cell of one score';

-- One row is one score of one text of one request. Kept 30 days.
CREATE TABLE IF NOT EXISTS {{DB}}.scores {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    src LowCardinality(String) COMMENT 'Source: topic@first 8 characters of its id',
    partition UInt32 CODEC(T64, ZSTD(1)) COMMENT 'Kafka partition',
    offset UInt64 CODEC(Delta(8), ZSTD(1)) COMMENT 'Kafka offset',
    event_id String CODEC(ZSTD(1)) COMMENT 'Id of the request',
    ts DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'ts of the request',
    tenant LowCardinality(String) COMMENT 'Tenant',
    app LowCardinality(String) COMMENT 'Service',
    env LowCardinality(String) COMMENT 'Environment',
    provider LowCardinality(String) COMMENT 'Provider',
    model LowCardinality(String) COMMENT 'Model',
    prompt_name LowCardinality(String) COMMENT 'Prompt template; empty: none',
    prompt_version LowCardinality(String) COMMENT 'Its version; empty: none',
    side LowCardinality(String) COMMENT 'prompt, response or pair',
    scorer LowCardinality(String) COMMENT 'Scorer',
    scorer_version LowCardinality(String) COMMENT 'Its version',
    weights_hash LowCardinality(String) COMMENT 'Hash of its weights; empty: none',
    engine LowCardinality(String) COMMENT 'Engine that ran it; empty: none',
    name LowCardinality(String) COMMENT 'Score, such as toxicity',
    value Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Value; NULL: none, see status',
    label LowCardinality(String) COMMENT 'Label; empty: none',
    status LowCardinality(String) COMMENT 'What became of the text: scored, cached, no_scorer ...',
    probability Float64 CODEC(ZSTD(1)) COMMENT 'Probability with which it was chosen for scoring',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read',
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 4,
    PROJECTION positions (SELECT kind, maxMap(next) GROUP BY kind)
)
ENGINE = {{ENGINE:MergeTree}}
PARTITION BY written_on
ORDER BY (kind, tenant, toStartOfHour(ts), app, name, ts)
TTL written_on + INTERVAL 30 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
COMMENT 'One row is one score of one text of one request';

-- One row adds to the histogram of one feature of one segment in one window. Kept 90 days.
CREATE TABLE IF NOT EXISTS {{DB}}.histograms {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    tenant LowCardinality(String) COMMENT 'Tenant',
    t DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Start of the window, UTC',
    app LowCardinality(String) COMMENT 'Service',
    segment_kind LowCardinality(String) COMMENT 'global, tenant, model ...',
    segment LowCardinality(String) COMMENT 'Which one; empty for global',
    feature LowCardinality(String) COMMENT 'Feature, such as input_tokens',
    scheme UInt16 COMMENT 'Law of the bins',
    n SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Observations',
    s1_e6 SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)) COMMENT 'Sum in the units of the scheme, 1e-6',
    s2_e6 SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)) COMMENT 'Sum of squares in the units of the scheme, 1e-6',
    bins SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)) CODEC(ZSTD(1)) COMMENT 'Numeric: bin -> n',
    categories SimpleAggregateFunction(sumMap, Map(String, UInt64)) CODEC(ZSTD(1)) COMMENT 'Categorical: value -> n',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read'
)
ENGINE = {{ENGINE:AggregatingMergeTree}}
PARTITION BY written_on
ORDER BY (kind, tenant, toStartOfHour(t), app, segment_kind, segment, feature, scheme, t)
TTL written_on + INTERVAL 90 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
COMMENT 'One row adds to the histogram of one feature of one segment in one window';

-- One row is the verdict on one window of one feature of one segment against one reference. Kept
-- 730 days; the highest rev counts.
CREATE TABLE IF NOT EXISTS {{DB}}.drift_verdicts {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    tenant LowCardinality(String) COMMENT 'Tenant; __all__: the app as a whole',
    t DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Start of the window, UTC',
    window_s UInt32 COMMENT 'Length of the window, s',
    app LowCardinality(String) COMMENT 'Service',
    segment_kind LowCardinality(String) COMMENT 'global, tenant, model ...',
    segment LowCardinality(String) COMMENT 'Which one; empty for global',
    feature LowCardinality(String) COMMENT 'Feature',
    scheme UInt16 COMMENT 'Law of the bins',
    reference LowCardinality(String) COMMENT 'previous, seasonal or pinned',
    from_t DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Start of the judged stretch: t, or earlier if thin windows were carried',
    n UInt64 COMMENT 'Events of the stretch',
    n_ref UInt64 COMMENT 'Events of the reference',
    enough Bool COMMENT 'Was the stretch large enough to be judged',
    ref_windows UInt32 COMMENT 'Windows of the reference',
    ref_needed UInt32 COMMENT 'Windows that are needed',
    stat_g Nullable(Float64) COMMENT 'G statistic',
    df Nullable(Float64) COMMENT 'Degrees of freedom',
    scale Nullable(Float64) COMMENT 'Over-dispersion of the reference',
    p Nullable(Float64) COMMENT 'p-value',
    z Nullable(Float64) COMMENT 'Its normal score, clipped',
    evidence Nullable(Float64) COMMENT 'CUSUM of evidence',
    bar Nullable(Float64) COMMENT 'Evidence at which it fires',
    js Nullable(Float64) COMMENT 'Jensen-Shannon distance, base 2',
    w1_log2 Nullable(Float64) COMMENT 'Wasserstein distance, log2 units',
    mean_before Nullable(Float64) COMMENT 'Mean of the reference',
    mean_after Nullable(Float64) COMMENT 'Mean of the window',
    direction LowCardinality(String) COMMENT 'up, down, mix or empty',
    top_bins Array(Tuple(label String, share_ref Float64, share_now Float64, contribution Float64)) COMMENT 'Bins that moved',
    state LowCardinality(String) COMMENT 'warming_up, quiet, pending, firing, resolved',
    since DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Window in which the state began',
    calm UInt32 COMMENT 'Calm windows so far',
    detector_version LowCardinality(String) COMMENT 'Law that decided',
    rev UInt64 COMMENT 'Order of verdicts: the last one counts',
    block LowCardinality(String) COMMENT 'Of a marker: its token; empty in data',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read',
    PROJECTION positions (SELECT kind, maxMap(next) GROUP BY kind)
)
ENGINE = {{ENGINE:ReplacingMergeTree(rev)}}
PARTITION BY written_on
ORDER BY (kind, tenant, app, segment_kind, segment, feature, reference, window_s, t, block)
TTL written_on + INTERVAL 730 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, deduplicate_merge_projection_mode = 'rebuild', merge_with_ttl_timeout = 3600
COMMENT 'One row is the verdict on one window of one feature of one segment against one reference';

-- One row is one change that was seen, such as a new served model. Kept 730 days.
CREATE TABLE IF NOT EXISTS {{DB}}.changes {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    tenant LowCardinality(String) COMMENT 'Tenant',
    t DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'When, UTC',
    app LowCardinality(String) COMMENT 'Service',
    change LowCardinality(String) COMMENT 'What changed: model, response_model, fingerprint, prompt_version, release ...',
    subject String CODEC(ZSTD(1)) COMMENT 'Of what, such as the model',
    before String CODEC(ZSTD(1)) COMMENT 'Old value; empty: none',
    after String CODEC(ZSTD(1)) COMMENT 'New value',
    n UInt64 COMMENT 'Requests with the new value when it was seen',
    evidence String CODEC(ZSTD(3)) COMMENT 'Details, JSON',
    rev UInt64 COMMENT 'Order of writes: the last one counts',
    block LowCardinality(String) COMMENT 'Of a marker: its token; empty in data',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read',
    PROJECTION positions (SELECT kind, maxMap(next) GROUP BY kind)
)
ENGINE = {{ENGINE:ReplacingMergeTree(rev)}}
PARTITION BY written_on
ORDER BY (kind, tenant, app, change, subject, after, t, block)
TTL written_on + INTERVAL 730 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, deduplicate_merge_projection_mode = 'rebuild', merge_with_ttl_timeout = 3600
COMMENT 'One row is one change that was seen, such as a new served model';
