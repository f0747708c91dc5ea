-- One row: where the streams of one app stand, by state. The last verdict of each stream counts;
-- streams without a verdict for two days are forgotten.
SELECT
    app,
    countIf(state = 'warming_up') AS warming_up,
    countIf(state = 'quiet' OR state = 'resolved') AS quiet,
    countIf(state = 'pending') AS pending,
    countIf(state = 'firing') AS firing,
    maxIf(ref_windows, state = 'warming_up') AS ref_windows,
    max(ref_needed) AS ref_needed,
    toUInt32(max(t)) AS t_s
FROM (
    SELECT
        app,
        max(t) AS t,
        argMax(state, drift_verdicts.t) AS state,
        argMax(ref_windows, drift_verdicts.t) AS ref_windows,
        argMax(ref_needed, drift_verdicts.t) AS ref_needed
    FROM drift_verdicts
    WHERE kind = 0 AND reference = 'previous' AND window_s = {window_s:UInt32}
    GROUP BY app, segment_kind, segment, feature, scheme
)
WHERE t >= (SELECT max(t) - INTERVAL 2 DAY FROM drift_verdicts WHERE kind = 0)
GROUP BY app
ORDER BY app
