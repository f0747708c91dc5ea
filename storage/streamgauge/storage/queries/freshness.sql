-- One row: one source partition as one writer has it. Order: writer, source. Of v_freshness.
SELECT writer, source, position, end_offset, lag, completeness, watermark, last_append, written_at
FROM v_freshness
ORDER BY writer, source
