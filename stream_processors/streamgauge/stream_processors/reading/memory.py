"""What a writer must remember of the offsets below its resume positions (read by recall.py)."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamgauge.stream_processors.reading.dedup import Seen


@dataclass(slots=True)
class Memory:
    """seen: by `src/partition`. labels: admitted (tenant, label, value)."""

    seen: dict[str, Seen] = field(default_factory=dict)
    labels: list[tuple[str, str, str]] = field(default_factory=list)
