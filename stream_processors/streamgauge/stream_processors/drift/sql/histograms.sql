-- One row: the histogram of one feature of one tenant's part of an app in one window.
-- In: window_s, from_s and to_s (epoch seconds, whole windows, to_s exclusive).
SELECT
    app,
    segment AS tenant,
    feature,
    scheme,
    intDiv(toUInt32(t), {window_s:UInt32}) * {window_s:UInt32} AS t_s,
    sumMap(bins) AS bins,
    sumMap(categories) AS categories
FROM histograms
WHERE kind = 0
    AND segment_kind = 'tenant'
    AND t >= toDateTime({from_s:UInt32}, 'UTC')
    AND t < toDateTime({to_s:UInt32}, 'UTC')
GROUP BY app, tenant, feature, scheme, t_s
ORDER BY app, tenant, feature, scheme, t_s
