"""Dead letters (`llm.deadletters.v1`): the raw bytes as value, why and whence as headers.

Key: the source. At least once, so the same (src, partition, offset) may come twice; exact counts
are in the table `dead_letters`. No pydantic.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.reasons import Reject

Headers = list[tuple[str, bytes]]
MAX_DETAIL_CHARS = 500


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Where a refused message came from and why it was refused.

    src: topic@first 8 characters of the topic id. detail: for people; holds no text of the event.
    size: bytes of the whole message where the record's value is only its beginning, else None.
    """

    reason: Reject
    src: str
    partition: int
    offset: int
    detail: str = ""
    size: int | None = None

    @property
    def key(self) -> bytes:
        """Key of the record: its source."""
        return self.src.encode()

    def headers(self) -> Headers:
        """Kafka headers, in a fixed order."""
        headers = [
            ("reason", self.reason.value.encode()),
            ("src", self.src.encode()),
            ("partition", str(self.partition).encode()),
            ("offset", str(self.offset).encode()),
            ("detail", self.detail[:MAX_DETAIL_CHARS].encode("utf-8", "replace")),
        ]
        if self.size is not None:
            headers.append(("size", str(self.size).encode()))
        return headers


def from_headers(headers: Iterable[tuple[str, bytes | None]] | None) -> DeadLetter:
    """The dead letter that these headers tell of; BadInput if one is missing or unreadable."""
    found = {name: value.decode("utf-8", "replace") for name, value in headers or () if value}
    try:
        return DeadLetter(
            reason=Reject(found["reason"]),
            src=found["src"],
            partition=int(found["partition"]),
            offset=int(found["offset"]),
            detail=found.get("detail", ""),
            size=int(found["size"]) if "size" in found else None,
        )
    except KeyError as e:
        raise BadInput(f"dead letter has no header {e}", reason=Reject.MISSING_FIELD) from None
    except ValueError as e:
        raise BadInput(f"dead letter header: {e}", reason=Reject.WRONG_TYPE) from None
