"""Names that the embedded server and its writers agree on. Imports nothing."""

from __future__ import annotations

STORE_HEADER = "X-Streamgauge-Store"
"""On every answer of the embedded server; a real ClickHouse has no such header."""
STORE_NAME = "embedded/1"
EXPECT_HEADER = "X-Streamgauge-Expect"
"""JSON object of an INSERT: "topic@id/partition" -> position that must be stored; 0 = never."""
REFUSED_CODE = 395
REFUSED_MESSAGE = "streamgauge: refused: the stored position is not the expected one"
