"""The embedded client: log LLM calls to Kafka without ever harming the app.

    from streamgauge.producers import init, track, feedback

    init(app="shop", bootstrap="localhost:9092")
    with track(model="gpt-4o-mini", provider="openai", input_text=question) as call:
        answer = ask(question)
        call.set(output_text=answer.text, output_tokens=answer.tokens)
    feedback(call.id, name="thumbs", value=1)

The functions use one client per process, made by `init`; `Client` is the same thing by hand.
Before `init`, and when switched off, they do nothing. For tests of your own there is
streamgauge.producers.testing.
Importing this package loads no third-party package; `init` loads confluent_kafka.
"""

from streamgauge.contracts.errors import Misconfigured
from streamgauge.producers._calls import Call
from streamgauge.producers._client import Client
from streamgauge.producers._counts import Drop, Stats
from streamgauge.producers._default import (
    client,
    close,
    feedback,
    flush,
    init,
    log,
    prompt,
    stats,
    track,
)
from streamgauge.producers._sink import Done, Sink, SinkFullError

__all__ = [
    "Call",
    "Client",
    "Done",
    "Drop",
    "Misconfigured",
    "Sink",
    "SinkFullError",
    "Stats",
    "client",
    "close",
    "feedback",
    "flush",
    "init",
    "log",
    "prompt",
    "stats",
    "track",
]
