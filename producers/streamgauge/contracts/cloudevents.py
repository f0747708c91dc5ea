"""CloudEvents 1.0 in Kafka's binary mode: attributes as `ce_*` headers, both ways. No pydantic.

The value stays plain JSON, and a record without a value is a Kafka tombstone. Besides the
attributes a record may carry plain headers (status, severity, team, app, rule, seq, epoch), so that
a reader can filter without parsing the value.
Source: cloudevents/spec, cloudevents/bindings/kafka-protocol-binding.md, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.reasons import Reject

Headers = list[tuple[str, bytes]]
SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
_PREFIX = "ce_"
_REQUIRED = ("specversion", "id", "source", "type")


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """The attributes of a record. time: RFC 3339, UTC. plain: further headers, for filtering."""

    id: str
    source: str
    type: str
    time: str | None = None
    subject: str | None = None
    partitionkey: str | None = None
    dataschema: str | None = None
    plain: Mapping[str, str] = field(default_factory=dict)

    def headers(self) -> Headers:
        """Kafka headers, in a fixed order: attributes, content type, then plain ones by name."""
        attributes = {
            "specversion": SPEC_VERSION,
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "time": self.time,
            "subject": self.subject,
            "partitionkey": self.partitionkey,
            "dataschema": self.dataschema,
        }
        found = [(_PREFIX + k, v.encode()) for k, v in attributes.items() if v is not None]
        found.append(("content-type", CONTENT_TYPE.encode()))
        found += [(k, self.plain[k].encode()) for k in sorted(self.plain)]
        return found


def from_headers(headers: Iterable[tuple[str, bytes | str | None]] | None) -> CloudEvent:
    """The attributes in these headers; BadInput if a required one is missing or not 1.0.

    Attributes that we do not know are dropped; plain headers are kept.
    """
    found = {name: _text(value) for name, value in headers or () if value is not None}
    attributes = {k.removeprefix(_PREFIX): v for k, v in found.items() if k.startswith(_PREFIX)}
    for name in _REQUIRED:
        if not attributes.get(name):
            raise BadInput(f"record has no header ce_{name}", reason=Reject.MISSING_FIELD)
    if attributes["specversion"] != SPEC_VERSION:
        raise BadInput(
            f"ce_specversion is {attributes['specversion']!r}, expected {SPEC_VERSION!r}",
            reason=Reject.UNKNOWN_MAJOR,
        )
    return CloudEvent(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        time=attributes.get("time"),
        subject=attributes.get("subject"),
        partitionkey=attributes.get("partitionkey"),
        dataschema=attributes.get("dataschema"),
        plain={k: v for k, v in found.items() if not k.startswith(_PREFIX) and k != "content-type"},
    )


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
