"""The numbers of the wire: what a field may hold. Plain integers, no imports.

The pydantic models, the msgspec decoder, the embedded client and the table columns all take them
from here. Outside a bound an event is refused (dead letter), except for the lengths of texts:
those the client cuts itself, and a longer text of another producer is kept (MAX_EVENT_BYTES
bounds it).
"""

from __future__ import annotations

# One event, encoded.
MAX_EVENT_BYTES = 65_536

# Event time, milliseconds since the epoch. FUTURE_MS is counted from Kafka's append time.
TS_MIN_MS = 1_420_070_400_000  # 2015-01-01T00:00:00Z
FUTURE_MS = 60_000
# An event is late if Kafka took it more than this after its `ts`: stored where it belongs, but in
# clock mode live no rule judges it. Less than the 2 minutes ago at which a replay ends, more than
# any delivery that goes well.
LATE_MS = 90_000

# Quantities.
MAX_DURATION_MS = 86_400_000
MAX_TOKENS = 2**31 - 1
MAX_COUNT = 2**31 - 1
MAX_SMALL_COUNT = 65_535
MAX_COST_NANO_USD = 10**15
MIN_INT64 = -(2**63)
MAX_INT64 = 2**63 - 1

# Strings, in characters (code points).
MAX_ID_CHARS = 64
MAX_PRODUCER_ID_CHARS = 32
MAX_TYPE_CHARS = 64
MAX_STRING_CHARS = 256

# Texts (input_text, output_text, reference_text, comment, template), UTF-8 bytes: the client cuts.
MAX_TEXT_BYTES = 8_192

# Maps and lists.
MAX_TAGS = 16
MAX_TAG_KEY_CHARS = 40
MAX_TAG_VALUE_CHARS = 200
MAX_TOOLS = 32
MAX_SOURCES = 50
MAX_GUARDRAILS = 16
MAX_OPEN_CALLS = 16
MAX_DROP_REASONS = 64
MAX_PROMPT_LABELS = 16

# The message key is "{producer_id}:{seq // KEY_SPAN}": it spreads load and keeps batches large.
KEY_SPAN = 1_024

HEARTBEAT_MS = 10_000

DEFAULT_TENANT = "default"
DEFAULT_ENV = "prod"
