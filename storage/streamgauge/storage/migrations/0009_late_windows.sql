-- light
-- Cells of late events are apart, so that the alert engine can leave them out. Views add them up.

ALTER TABLE {{DB}}.windows {{ON_CLUSTER}}
    ADD COLUMN IF NOT EXISTS late UInt8 CODEC(T64, ZSTD(1)) COMMENT '1: events that Kafka took more than 90 s after their ts; rules in clock mode live do not judge them' AFTER scheme,
    MODIFY ORDER BY (kind, resolution, tenant, toStartOfHour(t), app, env, team, feature, op, provider, model, prompt_name, prompt_version, variant, release, revision, scheme, t, late);
