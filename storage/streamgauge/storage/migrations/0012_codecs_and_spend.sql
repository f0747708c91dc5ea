-- light
-- Codecs of `events` by what its columns cost (docs/decisions/0024). New parts and merges use them;
-- nothing is rewritten now. v_spend is read in half the time.

ALTER TABLE {{DB}}.events {{ON_CLUSTER}}
    MODIFY COLUMN offset CODEC(T64('bit'), ZSTD(1)),
    MODIFY COLUMN id CODEC(ZSTD(3)),
    MODIFY COLUMN team CODEC(ZSTD(1)),
    MODIFY COLUMN feature CODEC(ZSTD(1)),
    MODIFY COLUMN producer_id CODEC(ZSTD(1)),
    MODIFY COLUMN seq CODEC(T64('bit'), ZSTD(1)),
    MODIFY COLUMN host CODEC(ZSTD(1)),
    MODIFY COLUMN region CODEC(ZSTD(1)),
    MODIFY COLUMN key_id CODEC(ZSTD(3)),
    MODIFY COLUMN provider CODEC(ZSTD(1)),
    MODIFY COLUMN response_model CODEC(ZSTD(1)),
    MODIFY COLUMN system_fingerprint CODEC(ZSTD(1)),
    MODIFY COLUMN server_address CODEC(ZSTD(1)),
    MODIFY COLUMN status CODEC(ZSTD(1)),
    MODIFY COLUMN error_type CODEC(ZSTD(1)),
    MODIFY COLUMN duration_ms CODEC(ZSTD(3)),
    MODIFY COLUMN ttft_ms CODEC(ZSTD(3)),
    MODIFY COLUMN queue_ms CODEC(ZSTD(3)),
    MODIFY COLUMN chunk_gap_p50_ms CODEC(ZSTD(3)),
    MODIFY COLUMN chunk_gap_max_ms CODEC(ZSTD(3)),
    MODIFY COLUMN cache_read_tokens CODEC(T64('bit'), ZSTD(1)),
    MODIFY COLUMN cost_nano_usd CODEC(T64('bit'), ZSTD(1)),
    MODIFY COLUMN cost_source CODEC(ZSTD(1)),
    MODIFY COLUMN price_book CODEC(ZSTD(1)),
    MODIFY COLUMN finish_reason CODEC(ZSTD(1)),
    MODIFY COLUMN cache_status CODEC(ZSTD(1)),
    MODIFY COLUMN prompt_name CODEC(ZSTD(1)),
    MODIFY COLUMN prompt_version CODEC(ZSTD(1)),
    MODIFY COLUMN template_hash CODEC(ZSTD(1)),
    MODIFY COLUMN variant CODEC(ZSTD(1));

-- One row is what one key and user spent on one model on one day. Kept 400 days. The key of the table is
-- what a row is of, so merging its rows while reading adds them up.
CREATE OR REPLACE VIEW {{DB}}.v_spend {{ON_CLUSTER}} AS
SELECT
    w.t AS t,
    w.tenant AS tenant,
    w.app AS app,
    nullIf(w.team, '') AS team,
    nullIf(w.key_id, '') AS key_id,
    nullIf(w.user_id, '') AS user_id,
    w.provider AS provider,
    w.model AS model,
    w.n AS requests,
    w.input_tokens AS input_tokens,
    w.output_tokens AS output_tokens,
    if(w.unpriced_n >= w.n, NULL, {{USD:w.cost_nano_usd}}) AS cost_usd,
    w.unpriced_n AS unpriced_n,
    w.unpriced_tokens AS unpriced_tokens
FROM {{FROM:spend}} AS w FINAL
WHERE w.kind = 0
COMMENT 'One row is what one key and user spent on one model on one day';

ALTER TABLE {{DB}}.v_spend {{ON_CLUSTER}}
    COMMENT COLUMN t 'Start of the day, UTC',
    COMMENT COLUMN tenant 'Tenant',
    COMMENT COLUMN app 'Service',
    COMMENT COLUMN team 'Owner',
    COMMENT COLUMN key_id 'API key, hashed',
    COMMENT COLUMN user_id 'User, hashed',
    COMMENT COLUMN provider 'Provider',
    COMMENT COLUMN model 'Model as asked for',
    COMMENT COLUMN requests 'Requests',
    COMMENT COLUMN input_tokens 'Input tokens',
    COMMENT COLUMN output_tokens 'Output tokens',
    COMMENT COLUMN cost_usd 'Cost of the priced requests, USD; NULL: none has a known price',
    COMMENT COLUMN unpriced_n 'Requests without a known price',
    COMMENT COLUMN unpriced_tokens 'Their tokens';
