-- light
-- Windows: additive cells. Readers sum; nothing is ever replaced. Views hide all of that.

-- One row adds to one cell: a window of 10, 60 or 3600 s and all its labels. Kept 7, 90 and 730
-- days by resolution. Histograms: bucket i stands for 2 g^i / (g + 1) with g = 101/99, bucket
-- -32768 for 0.
CREATE TABLE IF NOT EXISTS {{DB}}.windows {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    resolution UInt16 CODEC(T64, ZSTD(1)) COMMENT 'Length of the window, s: 10, 60 or 3600',
    tenant LowCardinality(String) COMMENT 'Tenant',
    t DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Start of the window, UTC',
    app LowCardinality(String) COMMENT 'Service',
    env LowCardinality(String) COMMENT 'Environment',
    team LowCardinality(String) COMMENT 'Owner; empty: unknown',
    feature LowCardinality(String) COMMENT 'Feature; empty: unknown',
    op LowCardinality(String) COMMENT 'Operation',
    provider LowCardinality(String) COMMENT 'Provider',
    model LowCardinality(String) COMMENT 'Model as asked for',
    prompt_name LowCardinality(String) COMMENT 'Prompt template; empty: none',
    prompt_version LowCardinality(String) COMMENT 'Its version; empty: none',
    variant LowCardinality(String) COMMENT 'A/B arm; empty: none',
    release LowCardinality(String) COMMENT 'Version of the app; empty: unknown',
    revision UInt32 CODEC(T64, ZSTD(1)) COMMENT '0: live; others: reprocessed, see `revisions`',
    scheme UInt8 COMMENT 'Law of the histograms',
    n SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Requests',
    errors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Requests with status error',
    timeouts SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Requests with status timeout',
    cancelled SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Requests with status cancelled',
    input_tokens SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Input tokens',
    output_tokens SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Output tokens',
    cache_read_tokens SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Cache read tokens',
    cache_write_tokens SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Cache write tokens',
    cache_write_1h_tokens SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Cache write 1h tokens',
    reasoning_tokens SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Reasoning tokens',
    audio_input_tokens SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Audio input tokens',
    audio_output_tokens SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Audio output tokens',
    image_input_tokens SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Image input tokens',
    cost_nano_usd SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)) COMMENT 'Cost of the priced requests, 1e-9 USD',
    unpriced_n SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Requests without a known price',
    unpriced_tokens SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Their tokens',
    duration_us_sum SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Sum of durations, microseconds',
    duration_us_max SimpleAggregateFunction(max, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Longest duration, microseconds',
    retries SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Retries',
    refused SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Refusals',
    output_valid_n SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Outputs that parsed',
    output_invalid_n SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Outputs that did not parse',
    truncated_n SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Requests whose text was cut',
    cache_hits SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Hits of the app\'s cache',
    stalls SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Gaps over 5 s in streams',
    error_types SimpleAggregateFunction(sumMap, Map(String, UInt64)) CODEC(ZSTD(1)) COMMENT 'Error type -> requests',
    http_statuses SimpleAggregateFunction(sumMap, Map(String, UInt64)) CODEC(ZSTD(1)) COMMENT 'HTTP status -> requests',
    finish_reasons SimpleAggregateFunction(sumMap, Map(String, UInt64)) CODEC(ZSTD(1)) COMMENT 'Finish reason -> requests',
    response_models SimpleAggregateFunction(sumMap, Map(String, UInt64)) CODEC(ZSTD(1)) COMMENT 'Model as served -> requests',
    fingerprints SimpleAggregateFunction(sumMap, Map(String, UInt64)) CODEC(ZSTD(1)) COMMENT 'Fingerprint -> requests',
    duration_ms_hist SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1)) COMMENT 'Durations, ms: bucket -> n',
    ttft_ms_hist SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1)) COMMENT 'Time to first chunk, ms: bucket -> n',
    chunk_gap_ms_hist SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1)) COMMENT 'Longest gap between chunks, ms: bucket -> n',
    output_tps_hist SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1)) COMMENT 'Output tokens per second: bucket -> n',
    input_tokens_hist SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1)) COMMENT 'Input tokens: bucket -> n',
    output_tokens_hist SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1)) COMMENT 'Output tokens: bucket -> n',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read'
)
ENGINE = {{ENGINE:AggregatingMergeTree}}
PARTITION BY written_on
ORDER BY (kind, resolution, tenant, toStartOfHour(t), app, env, team, feature, op, provider, model, prompt_name, prompt_version, variant, release, revision, scheme, t)
TTL written_on + INTERVAL 7 DAY DELETE WHERE kind = 0 AND resolution = 10,
    written_on + INTERVAL 90 DAY DELETE WHERE kind = 0 AND resolution = 60,
    written_on + INTERVAL 730 DAY DELETE WHERE kind = 0 AND resolution = 3600
SETTINGS non_replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
COMMENT 'One row adds to one cell: a window of 10, 60 or 3600 s and all its labels';

-- One row adds to what one key and user spent on one model. Kept 400 days; flushed every 10 s.
CREATE TABLE IF NOT EXISTS {{DB}}.spend {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    tenant LowCardinality(String) COMMENT 'Tenant',
    t DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Start of the period, UTC',
    app LowCardinality(String) COMMENT 'Service',
    team LowCardinality(String) COMMENT 'Owner; empty: unknown',
    key_id String CODEC(ZSTD(1)) COMMENT 'API key, hashed; empty: unknown',
    user_id String CODEC(ZSTD(1)) COMMENT 'User, hashed; empty: unknown',
    provider LowCardinality(String) COMMENT 'Provider',
    model LowCardinality(String) COMMENT 'Model as asked for',
    n SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Requests',
    input_tokens SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Input tokens',
    output_tokens SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Output tokens',
    cost_nano_usd SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)) COMMENT 'Cost of the priced requests, 1e-9 USD',
    unpriced_n SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Requests without a known price',
    unpriced_tokens SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Their tokens',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read'
)
ENGINE = {{ENGINE:AggregatingMergeTree}}
PARTITION BY written_on
ORDER BY (kind, tenant, toStartOfDay(t), app, team, key_id, user_id, provider, model, t)
TTL written_on + INTERVAL 400 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
COMMENT 'One row adds to what one key and user spent on one model';

-- One row is one label value that was admitted under the cap. Kept for good, so that a restart
-- admits the same ones.
CREATE TABLE IF NOT EXISTS {{DB}}.label_values {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    tenant LowCardinality(String) COMMENT 'Tenant',
    label LowCardinality(String) COMMENT 'Name of the label',
    value String CODEC(ZSTD(1)) COMMENT 'Admitted value',
    first_ts DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'First event with it',
    block LowCardinality(String) COMMENT 'Of a marker: its token; empty in data',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read',
    PROJECTION positions (SELECT kind, maxMap(next) GROUP BY kind)
)
ENGINE = {{ENGINE:ReplacingMergeTree}}
ORDER BY (kind, tenant, label, value, block)
SETTINGS non_replicated_deduplication_window = 1000, deduplicate_merge_projection_mode = 'rebuild'
COMMENT 'One row is one label value that was admitted under the cap';

-- One row is one version of a prompt template. Kept for good.
CREATE TABLE IF NOT EXISTS {{DB}}.prompts {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    tenant LowCardinality(String) COMMENT 'Tenant',
    app LowCardinality(String) COMMENT 'Service',
    prompt_name LowCardinality(String) COMMENT 'Prompt template',
    prompt_version LowCardinality(String) COMMENT 'Its version',
    template_hash String CODEC(ZSTD(1)) COMMENT 'Hash of the template',
    template String CODEC(ZSTD(3)) COMMENT 'The template; empty: not sent',
    labels Array(String) COMMENT 'Labels, such as production',
    ts DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'When it was registered',
    rev UInt64 COMMENT 'Order of registrations: the last one counts',
    block LowCardinality(String) COMMENT 'Of a marker: its token; empty in data',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read',
    PROJECTION positions (SELECT kind, maxMap(next) GROUP BY kind)
)
ENGINE = {{ENGINE:ReplacingMergeTree(rev)}}
ORDER BY (kind, tenant, app, prompt_name, prompt_version, block)
SETTINGS non_replicated_deduplication_window = 1000, deduplicate_merge_projection_mode = 'rebuild'
COMMENT 'One row is one version of a prompt template';

-- One row is one price of one model from a moment on. Kept for good.
CREATE TABLE IF NOT EXISTS {{DB}}.prices {{ON_CLUSTER}} (
    provider LowCardinality(String) COMMENT 'Provider',
    model String CODEC(ZSTD(1)) COMMENT 'Model',
    price_book LowCardinality(String) COMMENT 'Version of the price book',
    valid_from DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'First moment of the price',
    service_tier LowCardinality(String) COMMENT 'Tier; empty: default',
    input_nano_usd_per_mtok Nullable(Int64) COMMENT 'Input, 1e-9 USD per million tokens',
    output_nano_usd_per_mtok Nullable(Int64) COMMENT 'Output, 1e-9 USD per million tokens',
    cache_read_nano_usd_per_mtok Nullable(Int64) COMMENT 'Cached input, 1e-9 USD per million tokens',
    cache_write_nano_usd_per_mtok Nullable(Int64) COMMENT 'Cache write, 1e-9 USD per million tokens',
    rev UInt64 COMMENT 'Order of changes: the last one counts'
)
ENGINE = {{ENGINE:ReplacingMergeTree(rev)}}
ORDER BY (provider, model, service_tier, price_book, valid_from)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'One row is one price of one model from a moment on';

-- One row names the revision of windows that views show for an hour; no row means 0. Kept for
-- good.
CREATE TABLE IF NOT EXISTS {{DB}}.revisions {{ON_CLUSTER}} (
    tenant LowCardinality(String) COMMENT 'Tenant; empty: all',
    t DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Hour, UTC',
    revision UInt32 COMMENT 'Revision of `windows` that is shown for this hour',
    reason String COMMENT 'Why it was reprocessed',
    rev UInt64 COMMENT 'Order of changes: the last one counts'
)
ENGINE = {{ENGINE:ReplacingMergeTree(rev)}}
ORDER BY (tenant, t)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'One row names the revision of windows that views show for an hour; no row means 0';
