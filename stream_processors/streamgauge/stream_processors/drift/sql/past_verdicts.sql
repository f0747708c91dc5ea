-- One row: what later verdicts need of one earlier verdict, oldest first.
-- In: window_s, detector_version, from_s and to_s (epoch seconds, starts of windows, to_s exclusive).
SELECT
    app,
    segment_kind,
    segment,
    feature,
    scheme,
    window_s,
    reference,
    toUInt32(t) AS t_s,
    toUInt32(from_t) AS from_s,
    enough,
    z,
    state,
    toUInt32(since) AS since_s,
    ifNull(evidence, 0) AS evidence,
    calm
FROM drift_verdicts FINAL
WHERE kind = 0
    AND window_s = {window_s:UInt32}
    AND detector_version = {detector_version:String}
    AND t >= toDateTime({from_s:UInt32}, 'UTC')
    AND t < toDateTime({to_s:UInt32}, 'UTC')
ORDER BY app, segment_kind, segment, feature, scheme, reference, t_s
