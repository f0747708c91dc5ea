"""The generic stream worker: Kafka in, a processor's rows out, each offset exactly once per table.

worker.py           life of a process: partitions, runs in, flushes out, ticks, end
faust_app.py        the Faust app; chunk_transport.py: its consumer, which hands over runs
runs.py             a fetched run as chunks; chunks.py: what a processor is given and gives back
positions.py        offsets per table; acks.py: what may be committed
flusher.py          one flush, block by block; slow_tables.py: those that not every flush writes
connections.py      everything outside, and what is read there on resuming
resume.py           where event time goes on; which rows are near a position
watermark.py        how far event time is stored; ticker.py: its ticks
kafka_io.py         topic identities, dead letters, ticks
failpoints.py       where a test may kill the process
"""
