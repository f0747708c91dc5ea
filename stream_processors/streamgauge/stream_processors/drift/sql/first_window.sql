-- One row: when the oldest stored histogram begins, epoch seconds; 0 if there is none.
SELECT if(count() = 0, 0, toUInt32(min(t))) AS t_s FROM histograms WHERE kind = 0
