"""Ad hoc SQL for people: a read-only HTTP query with streaming answers, and examples by question.

In: store settings (the reading account), SQL text. Out: lines of the chosen format, or rows.
"""

from streamgauge.deploy.sql.ask import ask_rows, ask_stream, json_array
from streamgauge.deploy.sql.examples import Example, examples

__all__ = ["Example", "ask_rows", "ask_stream", "examples", "json_array"]
