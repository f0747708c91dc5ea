"""The embedded store: a process that owns the ClickHouse engine and speaks its HTTP interface.

For one machine: development, CI, demos, small deployments. Loopback only, two accounts: the writer
`streamgauge` and the read-only `reader`. Every ClickHouse HTTP client works against it; what it
adds is the exact compare-and-set of an insert (guard.py). A real ClickHouse needs only another URL.

    python -m streamgauge.storage.embedded --data DIR [--port 8123]

process.py starts and stops it from Python; server.py answers HTTP; engine.py runs statements.
"""
