-- light
-- Raw events and what is known about them. One row of `events` is one message of llm.events.v1.

CREATE DATABASE IF NOT EXISTS {{DB}} {{ON_CLUSTER}};

-- One row is one event. Kept 30 days; text bodies are never here. Hour before app in the key: the
-- last minutes of all apps are what is asked for most.
CREATE TABLE IF NOT EXISTS {{DB}}.events {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    src LowCardinality(String) COMMENT 'Source: topic@first 8 characters of its id',
    partition UInt32 CODEC(T64, ZSTD(1)) COMMENT 'Kafka partition',
    offset UInt64 CODEC(Delta(8), ZSTD(1)) COMMENT 'Kafka offset',
    append_ts DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'When Kafka took the message',
    id String CODEC(ZSTD(1)) COMMENT 'Id of the event; for a request the call\'s id',
    type LowCardinality(String) COMMENT 'Type of the event',
    ts DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'When it happened, UTC; for a call its completion',
    tenant LowCardinality(String) COMMENT 'Tenant',
    app LowCardinality(String) COMMENT 'Service',
    env LowCardinality(String) COMMENT 'Environment, such as prod',
    team LowCardinality(String) COMMENT 'Owner; empty: unknown',
    feature LowCardinality(String) COMMENT 'Feature of the app; empty: unknown',
    release LowCardinality(String) COMMENT 'Version of the app; empty: unknown',
    producer_id LowCardinality(String) COMMENT 'Client instance; empty: not our client',
    seq Nullable(UInt64) CODEC(Delta(8), ZSTD(1)) COMMENT 'Number of the event per producer_id',
    sdk LowCardinality(String) COMMENT 'Sending library; empty: unknown',
    host LowCardinality(String) COMMENT 'Machine; empty: unknown',
    region LowCardinality(String) COMMENT 'Region; empty: unknown',
    trace_id String CODEC(ZSTD(1)) COMMENT 'Trace, hex; empty: none',
    span_id String CODEC(ZSTD(1)) COMMENT 'Span, hex; empty: none',
    parent_span_id String CODEC(ZSTD(1)) COMMENT 'Parent span, hex; empty: none',
    session_id String CODEC(ZSTD(1)) COMMENT 'Session; empty: unknown',
    user_id String CODEC(ZSTD(1)) COMMENT 'User, hashed unless raw was asked for; empty: unknown',
    key_id String CODEC(ZSTD(1)) COMMENT 'API key, hashed; empty: unknown',
    tags Map(String, String) CODEC(ZSTD(1)) COMMENT 'Free tags',
    op LowCardinality(String) COMMENT 'Operation, OTel name; empty: no call',
    provider LowCardinality(String) COMMENT 'Provider, OTel name',
    model LowCardinality(String) COMMENT 'Model as asked for',
    response_model LowCardinality(String) COMMENT 'Model as served; empty: unknown',
    response_id String CODEC(ZSTD(1)) COMMENT 'Id of the answer; empty: unknown',
    system_fingerprint LowCardinality(String) COMMENT 'Configuration of the provider; empty: unknown',
    server_address LowCardinality(String) COMMENT 'Host that answered; empty: unknown',
    status LowCardinality(String) COMMENT 'ok, error, cancelled or timeout; empty: not applicable',
    error_type LowCardinality(String) COMMENT 'Class or code of the error; empty: none',
    http_status Nullable(UInt16) CODEC(T64, ZSTD(1)) COMMENT 'HTTP status',
    retries Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Attempts after the first',
    stream Nullable(Bool) COMMENT 'Was the answer streamed',
    duration_ms Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Duration, ms',
    ttft_ms Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Time to the first chunk with content, ms',
    queue_ms Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Wait at a gateway, ms',
    chunks Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Chunks of the stream',
    chunk_gap_p50_ms Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Median gap between chunks, ms',
    chunk_gap_max_ms Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Longest gap between chunks, ms',
    stalls Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Gaps over 5 s',
    input_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Input tokens, cached ones included',
    output_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Output tokens, reasoning included',
    cache_read_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Of the input: read from the cache',
    cache_write_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Of the input: written to the cache',
    cache_write_1h_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Of those: for an hour',
    reasoning_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Of the output: reasoning',
    audio_input_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Of the input: audio',
    audio_output_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Of the output: audio',
    image_input_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Of the input: images',
    usage_source LowCardinality(String) COMMENT 'Who counted the tokens: provider, estimated, none',
    service_tier LowCardinality(String) COMMENT 'Tier; empty: unknown',
    speed LowCardinality(String) COMMENT 'Speed class; empty: unknown',
    cost_nano_usd Nullable(Int64) CODEC(T64, ZSTD(1)) COMMENT 'Cost, 1e-9 USD; NULL: unknown price',
    cost_source LowCardinality(String) COMMENT 'Who priced it: app or stream',
    price_book LowCardinality(String) COMMENT 'Version of the price book',
    temperature Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Sampling temperature',
    top_p Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Nucleus share',
    max_tokens Nullable(Int64) CODEC(T64, ZSTD(1)) COMMENT 'Limit of output tokens',
    seed Nullable(Int64) CODEC(T64, ZSTD(1)) COMMENT 'Seed',
    n Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Choices asked for',
    reasoning_level LowCardinality(String) COMMENT 'Reasoning level; empty: unknown',
    output_type LowCardinality(String) COMMENT 'Output type; empty: unknown',
    finish_reason LowCardinality(String) COMMENT 'Why the first choice ended; empty: unknown',
    refused Nullable(Bool) COMMENT 'The provider\'s refusal flag',
    output_valid Nullable(Bool) COMMENT 'Did the output parse by the app\'s schema',
    cache_status LowCardinality(String) COMMENT 'The app\'s response cache: hit, miss, bypass',
    prompt_name LowCardinality(String) COMMENT 'Prompt template; empty: none',
    prompt_version LowCardinality(String) COMMENT 'Its version; empty: none',
    template_hash LowCardinality(String) COMMENT 'Hash of the template; empty: none',
    variant LowCardinality(String) COMMENT 'A/B arm; empty: none',
    content LowCardinality(String) COMMENT 'What the text fields held: full, redacted, hash, none, sampled_out',
    truncated Nullable(Bool) COMMENT 'Was a text cut',
    text_probability Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Probability with which the text was kept',
    input_chars Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Characters of the full input',
    output_chars Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Characters of the full output',
    messages_n Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Messages of the input',
    input_hash String CODEC(ZSTD(1)) COMMENT 'HMAC of the input; empty: none',
    output_hash String CODEC(ZSTD(1)) COMMENT 'HMAC of the output; empty: none',
    logprob_mean Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Mean log probability; perplexity = exp(-mean)',
    logprob_min Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Lowest log probability',
    logprob_n Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'Tokens with a log probability',
    tools Array(Tuple(name String, ok Nullable(Bool), duration_ms Nullable(Float64), args_chars Nullable(UInt32), result_chars Nullable(UInt32))) CODEC(ZSTD(1)) COMMENT 'Tools that the answer called',
    sources Array(Tuple(id String, source String, score Nullable(Float64), rank Nullable(UInt32))) CODEC(ZSTD(1)) COMMENT 'Documents the answer stands on',
    guardrails Array(Tuple(name String, action String, score Nullable(Float64))) CODEC(ZSTD(1)) COMMENT 'Guardrails that looked at the call',
    embedding_model LowCardinality(String) COMMENT 'Model of an embedding the app had; empty: none',
    directive_revision Nullable(Int64) CODEC(T64, ZSTD(1)) COMMENT 'Last directive that the app obeyed',
    call_id String CODEC(ZSTD(1)) COMMENT 'Of a step or start: the call it belongs to',
    name LowCardinality(String) COMMENT 'Of a step: tool or index',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read',
    INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 4,
    PROJECTION positions (SELECT kind, maxMap(next) GROUP BY kind)
)
ENGINE = {{ENGINE:MergeTree}}
PARTITION BY written_on
ORDER BY (kind, tenant, toStartOfHour(ts), app, model, ts)
TTL written_on + INTERVAL 30 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
COMMENT 'One row is one event';

-- One row is one feedback or evaluation. Kept 400 days. The view gives each to the hour of its
-- request, the last one wins.
CREATE TABLE IF NOT EXISTS {{DB}}.judgements {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    src LowCardinality(String) COMMENT 'Source: topic@first 8 characters of its id',
    partition UInt32 CODEC(T64, ZSTD(1)) COMMENT 'Kafka partition',
    offset UInt64 CODEC(Delta(8), ZSTD(1)) COMMENT 'Kafka offset',
    append_ts DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'When Kafka took the message',
    id String CODEC(ZSTD(1)) COMMENT 'Id of the event; for a request the call\'s id',
    type LowCardinality(String) COMMENT 'Type of the event',
    ts DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'When it happened, UTC; for a call its completion',
    tenant LowCardinality(String) COMMENT 'Tenant',
    app LowCardinality(String) COMMENT 'Service',
    env LowCardinality(String) COMMENT 'Environment, such as prod',
    team LowCardinality(String) COMMENT 'Owner; empty: unknown',
    feature LowCardinality(String) COMMENT 'Feature of the app; empty: unknown',
    producer_id LowCardinality(String) COMMENT 'Client instance; empty: not our client',
    target_id String CODEC(ZSTD(1)) COMMENT 'Request that is judged; empty: not by id',
    response_id String CODEC(ZSTD(1)) COMMENT 'Answer that is judged; empty: not by response id',
    trace_id String CODEC(ZSTD(1)) COMMENT 'Trace that is judged; empty: not by trace',
    name LowCardinality(String) COMMENT 'What is judged, such as thumbs',
    value Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Value; NULL: a label only',
    label LowCardinality(String) COMMENT 'Label; empty: a value only',
    annotator LowCardinality(String) COMMENT 'human, llm or code',
    evaluator LowCardinality(String) COMMENT 'Who judged; empty: unknown',
    evaluator_version LowCardinality(String) COMMENT 'Its version; empty: unknown',
    evaluator_model LowCardinality(String) COMMENT 'Its model; empty: none',
    user_id String CODEC(ZSTD(1)) COMMENT 'User who judged; empty: unknown',
    comment String CODEC(ZSTD(3)) COMMENT 'Comment, redacted; empty: none',
    cost_nano_usd Nullable(Int64) CODEC(T64, ZSTD(1)) COMMENT 'Cost of judging, 1e-9 USD',
    tags Map(String, String) CODEC(ZSTD(1)) COMMENT 'Free tags',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read',
    INDEX by_ts ts TYPE minmax GRANULARITY 4,
    PROJECTION positions (SELECT kind, maxMap(next) GROUP BY kind)
)
ENGINE = {{ENGINE:MergeTree}}
PARTITION BY written_on
ORDER BY (kind, tenant, target_id, name, ts)
TTL written_on + INTERVAL 400 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
COMMENT 'One row is one feedback or evaluation';

-- One row is the texts of one event. Off by default; kept 7 days.
CREATE TABLE IF NOT EXISTS {{DB}}.texts {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    src LowCardinality(String) COMMENT 'Source: topic@first 8 characters of its id',
    partition UInt32 CODEC(T64, ZSTD(1)) COMMENT 'Kafka partition',
    offset UInt64 CODEC(Delta(8), ZSTD(1)) COMMENT 'Kafka offset',
    event_id String CODEC(ZSTD(1)) COMMENT 'Id of the event',
    ts DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'When it happened, UTC',
    tenant LowCardinality(String) COMMENT 'Tenant',
    app LowCardinality(String) COMMENT 'Service',
    input_text String CODEC(ZSTD(3)) COMMENT 'Last user turn; empty: none',
    output_text String CODEC(ZSTD(3)) COMMENT 'Completion; empty: none',
    reference_text String CODEC(ZSTD(3)) COMMENT 'Expected answer; empty: none',
    content LowCardinality(String) COMMENT 'full or redacted',
    truncated Nullable(Bool) COMMENT 'Was a text cut',
    text_probability Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Probability with which the text was kept',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read',
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 4,
    PROJECTION positions (SELECT kind, maxMap(next) GROUP BY kind)
)
ENGINE = {{ENGINE:MergeTree}}
PARTITION BY written_on
ORDER BY (kind, tenant, toStartOfHour(ts), app, event_id)
TTL written_on + INTERVAL 7 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, index_granularity_bytes = 33554432, merge_with_ttl_timeout = 3600
COMMENT 'One row is the texts of one event';

-- One row is what is known of one client instance since its last flush; rows add up. Kept 30 days.
CREATE TABLE IF NOT EXISTS {{DB}}.producers {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    producer_id String CODEC(ZSTD(1)) COMMENT 'Client instance',
    tenant SimpleAggregateFunction(anyLast, LowCardinality(String)) COMMENT 'Tenant',
    app SimpleAggregateFunction(anyLast, LowCardinality(String)) COMMENT 'Service',
    sdk SimpleAggregateFunction(anyLast, LowCardinality(String)) COMMENT 'Sending library',
    host SimpleAggregateFunction(anyLast, LowCardinality(String)) COMMENT 'Machine',
    n SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Events of this producer that were stored',
    duplicates SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Events that came twice and were dropped',
    dead SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Events that were refused',
    min_seq SimpleAggregateFunction(min, Nullable(UInt64)) CODEC(ZSTD(1)) COMMENT 'Lowest number seen',
    max_seq SimpleAggregateFunction(max, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Highest number seen',
    first_ts SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))) CODEC(ZSTD(1)) COMMENT 'First event',
    last_ts SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'Last event',
    accepted SimpleAggregateFunction(max, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Client\'s count: taken from the app',
    sent SimpleAggregateFunction(max, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Client\'s count: acknowledged by Kafka',
    spooled SimpleAggregateFunction(max, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Client\'s count: written to disk',
    errors SimpleAggregateFunction(max, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Client\'s count: errors',
    dropped SimpleAggregateFunction(maxMap, Map(String, UInt64)) CODEC(ZSTD(1)) COMMENT 'Client\'s count: dropped, by reason',
    last_stats SimpleAggregateFunction(max, Tuple(ts DateTime64(3, 'UTC'), stats String)) CODEC(ZSTD(1)) COMMENT 'Last heartbeat: its ts and its JSON',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read'
)
ENGINE = {{ENGINE:AggregatingMergeTree}}
PARTITION BY written_on
ORDER BY (kind, producer_id)
TTL written_on + INTERVAL 30 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
COMMENT 'One row is what is known of one client instance since its last flush; rows add up';

-- One row says what became of offsets of one source partition on one day. Kept 30 days.
CREATE TABLE IF NOT EXISTS {{DB}}.ingest_log {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    src LowCardinality(String) COMMENT 'Source: topic@first 8 characters of its id',
    partition UInt32 CODEC(T64, ZSTD(1)) COMMENT 'Kafka partition',
    outcome LowCardinality(String) COMMENT 'stored, duplicate, dead, control, lost, unknown_type ...',
    n SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Offsets with this outcome',
    bytes SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Bytes of their values',
    first_offset SimpleAggregateFunction(min, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Lowest offset',
    last_offset SimpleAggregateFunction(max, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'Highest offset',
    end_offset SimpleAggregateFunction(max, UInt64) CODEC(T64, ZSTD(1)) COMMENT 'End of the partition as last seen',
    max_ts SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'Latest event time',
    last_append SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'Latest append time',
    written_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'When the block was cut',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read'
)
ENGINE = {{ENGINE:AggregatingMergeTree}}
PARTITION BY written_on
ORDER BY (kind, written_on, src, partition, outcome)
TTL written_on + INTERVAL 30 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
COMMENT 'One row says what became of offsets of one source partition on one day';

-- One row is one message that was refused. Kept 14 days.
CREATE TABLE IF NOT EXISTS {{DB}}.dead_letters {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    src LowCardinality(String) COMMENT 'Source: topic@first 8 characters of its id',
    partition UInt32 CODEC(T64, ZSTD(1)) COMMENT 'Kafka partition',
    offset UInt64 CODEC(Delta(8), ZSTD(1)) COMMENT 'Kafka offset',
    append_ts DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'When Kafka took the message',
    reason LowCardinality(String) COMMENT 'Why it was refused, a code',
    detail String CODEC(ZSTD(3)) COMMENT 'Why, in words',
    size UInt32 CODEC(T64, ZSTD(1)) COMMENT 'Bytes of the message',
    raw String CODEC(ZSTD(3)) COMMENT 'The message, base64, at most 8 KiB of it',
    block LowCardinality(String) COMMENT 'Of a marker: its token, so that markers stay apart; empty in data',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read',
    PROJECTION positions (SELECT kind, maxMap(next) GROUP BY kind)
)
ENGINE = {{ENGINE:ReplacingMergeTree}}
PARTITION BY written_on
ORDER BY (src, partition, offset, kind, block)
TTL written_on + INTERVAL 14 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, deduplicate_merge_projection_mode = 'rebuild', merge_with_ttl_timeout = 3600
COMMENT 'One row is one message that was refused';
