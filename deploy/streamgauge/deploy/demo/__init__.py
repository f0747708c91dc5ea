"""The demo: a real trace with planted incidents through the whole stack, and a verdict.

`run.py` wires the stack, the replay and the subscriber; `verdict.py` is the pure comparison of
what was planted with what was alerted; `report.py` draws the answer for a terminal.
"""
