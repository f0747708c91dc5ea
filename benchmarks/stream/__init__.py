"""The metrics worker beside other ways to consume the same events: `python -m benchmarks.stream`.

inputs.py    the same events as a topic, as a topic keyed by app, and as lines of a file
ways.py      one run of one way, checked and told
"""
