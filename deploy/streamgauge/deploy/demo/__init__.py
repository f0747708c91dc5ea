"""The demo: a real trace with planted incidents through the whole stack, and a verdict.

`run.py` wires the stack, the replay and the subscriber; `watch.py` follows the alert topics;
`verdict.py` is the pure comparison of what was planted with what was alerted; `questions.py` asks
the store; `report.py` draws the answer for a terminal; `leftovers.py` and `runs.py` know what a run
leaves behind.
"""
