-- light
-- A worker that takes partitions over reads the last offsets of `events` alone, however much is stored
-- (stream_processors/.../core/resume.py). New parts and merges have the index; parts of before are read
-- whole until they are merged, or until somebody runs
-- `ALTER TABLE events MATERIALIZE INDEX by_offset`.

ALTER TABLE {{DB}}.events {{ON_CLUSTER}}
    ADD INDEX IF NOT EXISTS by_offset offset TYPE minmax GRANULARITY 1;
