"""The events of `llm.events.v1`: one pydantic model per type, and their parser.

    envelope.py   what every event carries; the field types with their bounds
    request.py    llm.request
    others.py     llm.start, llm.tool, llm.retrieval, llm.feedback, llm.evaluation, llm.prompt,
                  client.stats
    parse.py      bytes -> event or BadInput(reason)

Loads pydantic; the embedded client imports none of it.
"""

from streamgauge.contracts.events.envelope import Content, Envelope, Status, UnknownEvent
from streamgauge.contracts.events.others import (
    ClientStats,
    Evaluation,
    Feedback,
    Judgement,
    LlmRetrieval,
    LlmStart,
    LlmTool,
    OpenCall,
    PromptRegistration,
    Step,
)
from streamgauge.contracts.events.parse import (
    EVENT_TYPES,
    Counted,
    Event,
    check_bounds,
    check_major,
    parse_counted,
    parse_event,
)
from streamgauge.contracts.events.request import Guardrail, LlmRequest, Source, ToolCall

__all__ = [
    "EVENT_TYPES",
    "ClientStats",
    "Content",
    "Counted",
    "Envelope",
    "Evaluation",
    "Event",
    "Feedback",
    "Guardrail",
    "Judgement",
    "LlmRequest",
    "LlmRetrieval",
    "LlmStart",
    "LlmTool",
    "OpenCall",
    "PromptRegistration",
    "Source",
    "Status",
    "Step",
    "ToolCall",
    "UnknownEvent",
    "check_bounds",
    "check_major",
    "parse_counted",
    "parse_event",
]
