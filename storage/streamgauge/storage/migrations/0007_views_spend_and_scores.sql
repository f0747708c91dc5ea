-- light
-- What people query: errors, spend, prompts, scores, drift. Names are stable, unknown is NULL, money is USD, times are UTC.

-- One row is one error type in one minute of one combination of labels. Kept 90 days.
CREATE OR REPLACE VIEW {{DB}}.v_errors {{ON_CLUSTER}} AS
SELECT
    w.t AS t,
    w.tenant AS tenant,
    w.app AS app,
    w.env AS env,
    nullIf(w.team, '') AS team,
    nullIf(w.feature, '') AS feature,
    w.op AS op,
    w.provider AS provider,
    w.model AS model,
    w.error_type AS error_type,
    w.error_n AS errors,
    w.n AS requests,
    if(w.n > 0, w.error_n / w.n, NULL) AS share
FROM (
    SELECT m.*, found.1 AS error_type, found.2 AS error_n
    FROM (
        SELECT s.t AS t, s.tenant AS tenant, s.app AS app, s.env AS env, s.team AS team, s.feature AS feature, s.op AS op, s.provider AS provider, s.model AS model, sum(s.n) AS n, sumMap(s.error_types) AS error_types
        FROM {{FROM:windows}} AS s
        WHERE s.kind = 0 AND s.resolution = 60 AND (s.revision = 0 AND (s.tenant, toStartOfHour(s.t)) NOT IN (SELECT tenant, t FROM {{FROM:revisions}} FINAL)
        OR (s.tenant, toStartOfHour(s.t), s.revision) IN (SELECT tenant, t, revision FROM {{FROM:revisions}} FINAL))
        GROUP BY s.t, s.tenant, s.app, s.env, s.team, s.feature, s.op, s.provider, s.model
    ) AS m
    ARRAY JOIN CAST(m.error_types, 'Array(Tuple(String, UInt64))') AS found
) AS w
COMMENT 'One row is one error type in one minute of one combination of labels';

ALTER TABLE {{DB}}.v_errors {{ON_CLUSTER}}
    COMMENT COLUMN t 'Start of the minute, UTC',
    COMMENT COLUMN tenant 'Tenant',
    COMMENT COLUMN app 'Service',
    COMMENT COLUMN env 'Environment',
    COMMENT COLUMN team 'Owner',
    COMMENT COLUMN feature 'Feature of the app',
    COMMENT COLUMN op 'Operation',
    COMMENT COLUMN provider 'Provider',
    COMMENT COLUMN model 'Model as asked for; __other__: beyond the cap of labels',
    COMMENT COLUMN error_type 'Class or code of the error',
    COMMENT COLUMN errors 'Requests that ended with it',
    COMMENT COLUMN requests 'All requests of these labels in the minute',
    COMMENT COLUMN share 'errors / requests';

-- One row is what one key and user spent on one model in one hour. Kept 400 days.
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
FROM (
    SELECT toStartOfHour(s.t) AS t, s.tenant AS tenant, s.app AS app, s.team AS team, s.key_id AS key_id, s.user_id AS user_id, s.provider AS provider, s.model AS model,
        sum(s.n) AS n, sum(s.input_tokens) AS input_tokens, sum(s.output_tokens) AS output_tokens,
        sum(s.cost_nano_usd) AS cost_nano_usd, sum(s.unpriced_n) AS unpriced_n, sum(s.unpriced_tokens) AS unpriced_tokens
    FROM {{FROM:spend}} AS s
    WHERE s.kind = 0
    GROUP BY t, s.tenant, s.app, s.team, s.key_id, s.user_id, s.provider, s.model
) AS w
COMMENT 'One row is what one key and user spent on one model in one hour';

ALTER TABLE {{DB}}.v_spend {{ON_CLUSTER}}
    COMMENT COLUMN t 'Start of the hour, UTC',
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

-- One row is one version of a prompt in one hour. Kept 730 days.
CREATE OR REPLACE VIEW {{DB}}.v_prompts {{ON_CLUSTER}} AS
SELECT
    w.t AS t,
    w.tenant AS tenant,
    w.app AS app,
    w.env AS env,
    w.prompt_name AS prompt_name,
    nullIf(w.prompt_version, '') AS prompt_version,
    nullIf(w.variant, '') AS variant,
    nullIf(p.template_hash, '') AS template_hash,
    p.labels AS labels,
    w.n AS requests,
    if(w.n > 0, (w.errors + w.timeouts) / w.n, NULL) AS error_rate,
    w.refused AS refused,
    w.output_invalid_n AS output_invalid_n,
    if(w.n > 0, w.input_tokens / w.n, NULL) AS input_tokens_avg,
    if(w.n > 0, w.output_tokens / w.n, NULL) AS output_tokens_avg,
    if(w.unpriced_n >= w.n, NULL, {{USD:w.cost_nano_usd}}) AS cost_usd,
    if(w.unpriced_n >= w.n, NULL, {{USD:w.cost_nano_usd}} / (w.n - w.unpriced_n)) AS cost_usd_per_request,
    {{QUANTILE:0.5:w.duration_ms_hist}} AS latency_p50_ms,
    {{QUANTILE:0.95:w.duration_ms_hist}} AS latency_p95_ms
FROM (
    SELECT
        s.t AS t, s.tenant AS tenant, s.app AS app, s.env AS env, s.prompt_name AS
        prompt_name, s.prompt_version AS prompt_version, s.variant AS variant, sum(s.n) AS n,
        sum(s.errors) AS errors, sum(s.timeouts) AS timeouts, sum(s.refused) AS refused,
        sum(s.output_invalid_n) AS output_invalid_n, sum(s.input_tokens) AS input_tokens,
        sum(s.output_tokens) AS output_tokens, sum(s.cost_nano_usd) AS cost_nano_usd,
        sum(s.unpriced_n) AS unpriced_n, max(s.duration_us_max) AS duration_us_max,
        sumMap(s.duration_ms_hist) AS duration_ms_hist
    FROM {{FROM:windows}} AS s
    WHERE s.kind = 0 AND s.resolution = 3600 AND s.scheme = 1 AND (s.revision = 0 AND (s.tenant, toStartOfHour(s.t)) NOT IN (SELECT tenant, t FROM {{FROM:revisions}} FINAL)
        OR (s.tenant, toStartOfHour(s.t), s.revision) IN (SELECT tenant, t, revision FROM {{FROM:revisions}} FINAL))
    GROUP BY s.t, s.tenant, s.app, s.env, s.prompt_name, s.prompt_version, s.variant
) AS w
LEFT JOIN (SELECT * FROM {{FROM:prompts}} FINAL WHERE kind = 0) AS p
    ON p.tenant = w.tenant AND p.app = w.app AND p.prompt_name = w.prompt_name AND p.prompt_version = w.prompt_version
WHERE w.prompt_name != ''
COMMENT 'One row is one version of a prompt in one hour';

ALTER TABLE {{DB}}.v_prompts {{ON_CLUSTER}}
    COMMENT COLUMN t 'Start of the hour, UTC',
    COMMENT COLUMN tenant 'Tenant',
    COMMENT COLUMN app 'Service',
    COMMENT COLUMN env 'Environment',
    COMMENT COLUMN prompt_name 'Prompt template',
    COMMENT COLUMN prompt_version 'Its version',
    COMMENT COLUMN variant 'A/B arm',
    COMMENT COLUMN template_hash 'Hash of the template, if registered',
    COMMENT COLUMN labels 'Labels of the version, if registered',
    COMMENT COLUMN requests 'Requests',
    COMMENT COLUMN error_rate 'Share of errors and timeouts',
    COMMENT COLUMN refused 'Refusals',
    COMMENT COLUMN output_invalid_n 'Outputs that did not parse',
    COMMENT COLUMN input_tokens_avg 'Input tokens per request',
    COMMENT COLUMN output_tokens_avg 'Output tokens per request',
    COMMENT COLUMN cost_usd 'Cost of the priced requests, USD; NULL: none has a known price',
    COMMENT COLUMN cost_usd_per_request 'Cost per priced request, USD',
    COMMENT COLUMN latency_p50_ms 'Median duration, ms; within 1 %',
    COMMENT COLUMN latency_p95_ms '95th percentile: duration, ms; within 1 %';

-- One row is one score in one minute of one combination of labels. Kept 90 days.
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
    WHERE s.kind = 0 AND s.resolution = 60 AND (s.revision = 0 AND (s.tenant, toStartOfHour(s.t)) NOT IN (SELECT tenant, t FROM {{FROM:revisions}} FINAL)
        OR (s.tenant, toStartOfHour(s.t), s.revision) IN (SELECT tenant, t, revision FROM {{FROM:revisions}} FINAL))
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

-- One row is the toxicity of one minute of one combination of labels, from Detoxify only. Without
-- a scorer the values are NULL and `statuses` says why. Kept 90 days.
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
    WHERE s.kind = 0 AND s.resolution = 60 AND s.scorer = 'detoxify' AND (s.revision = 0 AND (s.tenant, toStartOfHour(s.t)) NOT IN (SELECT tenant, t FROM {{FROM:revisions}} FINAL)
        OR (s.tenant, toStartOfHour(s.t), s.revision) IN (SELECT tenant, t, revision FROM {{FROM:revisions}} FINAL))
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

-- One row is the verdict on one window of one feature of one segment. Kept 730 days.
CREATE OR REPLACE VIEW {{DB}}.v_drift {{ON_CLUSTER}} AS
SELECT
    d.t AS t,
    d.window_s AS window_s,
    d.tenant AS tenant,
    d.app AS app,
    d.segment_kind AS segment_kind,
    d.segment AS segment,
    d.feature AS feature,
    d.reference AS reference,
    d.state AS state,
    d.since AS since,
    d.n AS n,
    d.n_ref AS n_ref,
    d.ref_windows AS ref_windows,
    d.ref_needed AS ref_needed,
    d.p AS p,
    d.z AS z,
    d.evidence AS evidence,
    d.bar AS bar,
    d.js AS js,
    d.w1_log2 AS w1_log2,
    d.mean_before AS mean_before,
    d.mean_after AS mean_after,
    nullIf(d.direction, '') AS direction,
    d.top_bins AS top_bins,
    d.stat_g AS stat_g,
    d.df AS df,
    d.scale AS scale,
    d.detector_version AS detector_version
FROM {{FROM:drift_verdicts}} AS d FINAL
WHERE d.kind = 0
COMMENT 'One row is the verdict on one window of one feature of one segment';

ALTER TABLE {{DB}}.v_drift {{ON_CLUSTER}}
    COMMENT COLUMN t 'Start of the window, UTC',
    COMMENT COLUMN window_s 'Length of the window, s',
    COMMENT COLUMN tenant 'Tenant; __all__: the app as a whole',
    COMMENT COLUMN app 'Service',
    COMMENT COLUMN segment_kind 'global, tenant, model ...',
    COMMENT COLUMN segment 'Which one; empty for global',
    COMMENT COLUMN feature 'Feature',
    COMMENT COLUMN reference 'previous, seasonal or pinned',
    COMMENT COLUMN state 'warming_up, quiet, pending, firing, resolved',
    COMMENT COLUMN since 'Window in which the state began',
    COMMENT COLUMN n 'Events of the stretch',
    COMMENT COLUMN n_ref 'Events of the reference',
    COMMENT COLUMN ref_windows 'Windows of the reference',
    COMMENT COLUMN ref_needed 'Windows that are needed',
    COMMENT COLUMN p 'p-value; NULL: not judged',
    COMMENT COLUMN z 'Its normal score, clipped',
    COMMENT COLUMN evidence 'CUSUM of evidence',
    COMMENT COLUMN bar 'Evidence at which it fires',
    COMMENT COLUMN js 'Jensen-Shannon distance, base 2',
    COMMENT COLUMN w1_log2 'Wasserstein distance, log2 units',
    COMMENT COLUMN mean_before 'Mean of the reference',
    COMMENT COLUMN mean_after 'Mean of the window',
    COMMENT COLUMN direction 'up, down or mix',
    COMMENT COLUMN top_bins 'Bins that moved',
    COMMENT COLUMN stat_g 'G statistic',
    COMMENT COLUMN df 'Degrees of freedom',
    COMMENT COLUMN scale 'Over-dispersion of the reference',
    COMMENT COLUMN detector_version 'Law that decided';

-- One row is one change that was seen, such as a new served model. Kept 730 days.
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
COMMENT 'One row is one change that was seen, such as a new served model';

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
