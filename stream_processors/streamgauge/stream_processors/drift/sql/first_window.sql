-- One row: when the oldest histogram at or after from_s begins, epoch seconds; 0 if there is none.
-- In: from_s (epoch seconds).
SELECT if(count() = 0, 0, toUInt32(min(t))) AS t_s
FROM histograms
WHERE kind = 0 AND t >= toDateTime({from_s:UInt32}, 'UTC')
