-- light
-- What the alert engine did: the history of its topics.

-- One row is one transition of one alert, a record of llm.alerts.v1. Kept 730 days.
CREATE TABLE IF NOT EXISTS {{DB}}.alerts {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    src LowCardinality(String) COMMENT 'Source: topic@first 8 characters of its id',
    partition UInt32 CODEC(T64, ZSTD(1)) COMMENT 'Kafka partition',
    offset UInt64 CODEC(Delta(8), ZSTD(1)) COMMENT 'Kafka offset',
    tenant LowCardinality(String) COMMENT 'Tenant; empty: the rule has none',
    t DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'Event time of the transition',
    rule LowCardinality(String) COMMENT 'Rule',
    rule_version LowCardinality(String) COMMENT 'Hash of the rule',
    rule_kind LowCardinality(String) COMMENT 'Kind of the rule',
    id String CODEC(ZSTD(1)) COMMENT 'Id of the record, the same on every replay',
    fingerprint String CODEC(ZSTD(1)) COMMENT 'Identity of the alert',
    seq UInt64 COMMENT 'Order within the fingerprint',
    epoch UInt64 COMMENT 'Generation of the engine',
    episode String CODEC(ZSTD(1)) COMMENT 'Episode, from pending or fired to resolved',
    status LowCardinality(String) COMMENT 'State after the transition',
    transition LowCardinality(String) COMMENT 'What happened',
    reason LowCardinality(String) COMMENT 'Why, if not by the rule; empty: by the rule',
    severity LowCardinality(String) COMMENT 'page, ticket or info',
    level LowCardinality(String) COMMENT 'Level of the ladder; empty: none',
    app LowCardinality(String) COMMENT 'Service; empty: none',
    team LowCardinality(String) COMMENT 'Owner; empty: unknown',
    labels Map(String, String) COMMENT 'What it is about',
    annotations Map(String, String) CODEC(ZSTD(3)) COMMENT 'Texts for people',
    value Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'What was measured',
    threshold Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'What it was compared with',
    unit LowCardinality(String) COMMENT 'Unit of both; empty: none',
    window_start Nullable(DateTime64(3, 'UTC')) COMMENT 'Start of the measured stretch',
    window_end Nullable(DateTime64(3, 'UTC')) COMMENT 'Its end, exclusive',
    starts_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First breach',
    fired_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it fired',
    ends_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it resolved',
    event_time DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'Clock of the rule\'s sources',
    late_by_ms Nullable(UInt64) COMMENT 'Wall time behind event time at publication',
    flapping Bool COMMENT 'Fires and resolves again and again',
    no_data Bool COMMENT 'There was nothing to judge',
    stale Bool COMMENT 'Its series is missing',
    incomplete Bool COMMENT 'Judged before all sources had reported',
    exemplars Array(Tuple(event_id String, trace_id String, value Nullable(Float64))) COMMENT 'Events that show the trouble',
    evidence String CODEC(ZSTD(3)) COMMENT 'By kind of rule, JSON',
    query String CODEC(ZSTD(3)) COMMENT 'SQL that reproduces the value',
    runbook_url String CODEC(ZSTD(1)) COMMENT 'What to do',
    record String CODEC(ZSTD(3)) COMMENT 'The whole record as published, JSON',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read',
    INDEX by_fingerprint fingerprint TYPE bloom_filter(0.01) GRANULARITY 4,
    PROJECTION positions (SELECT kind, maxMap(next) GROUP BY kind)
)
ENGINE = {{ENGINE:MergeTree}}
PARTITION BY written_on
ORDER BY (kind, tenant, rule, t)
TTL written_on + INTERVAL 730 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
COMMENT 'One row is one transition of one alert, a record of llm';

-- One row is one directive as issued or withdrawn. Kept 730 days.
CREATE TABLE IF NOT EXISTS {{DB}}.directive_log {{ON_CLUSTER}} (
    kind UInt8 COMMENT '0: a row of data. 1: a marker, which carries only `next`; views hide it',
    written_on Date COMMENT 'Day on which the block was cut; retention counts from it',
    src LowCardinality(String) COMMENT 'Source: topic@first 8 characters of its id',
    partition UInt32 CODEC(T64, ZSTD(1)) COMMENT 'Kafka partition',
    offset UInt64 CODEC(Delta(8), ZSTD(1)) COMMENT 'Kafka offset',
    tenant LowCardinality(String) COMMENT 'Tenant; empty: none',
    t DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'When it was issued',
    rule LowCardinality(String) COMMENT 'Rule behind it; empty: a person',
    scope String CODEC(ZSTD(1)) COMMENT 'env/app/feature/kind',
    directive LowCardinality(String) COMMENT 'What is wished',
    mode LowCardinality(String) COMMENT 'suggest or enforce',
    params String CODEC(ZSTD(3)) COMMENT 'Parameters, JSON',
    alert_id String CODEC(ZSTD(1)) COMMENT 'Alert behind it; empty: none',
    revision UInt64 COMMENT 'Order within the scope',
    expires_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'When it ends by itself',
    issued_by LowCardinality(String) COMMENT 'Engine or person',
    withdrawn Bool COMMENT 'A tombstone withdrew it',
    record String CODEC(ZSTD(3)) COMMENT 'The whole record, JSON',
    next SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'Of a marker: source partition (topic@id/partition) -> next offset to read',
    PROJECTION positions (SELECT kind, maxMap(next) GROUP BY kind)
)
ENGINE = {{ENGINE:MergeTree}}
PARTITION BY written_on
ORDER BY (kind, tenant, rule, t)
TTL written_on + INTERVAL 730 DAY DELETE WHERE kind = 0
SETTINGS non_replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
COMMENT 'One row is one directive as issued or withdrawn';
