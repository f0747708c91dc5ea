"""The scores processor: requests -> rows of `score_windows` and `scores`.

In: chunks of events. Out: cuts whose `build` runs the scorers, in the flush thread: the worker's
loop never waits for a score, and a slow scorer holds back only its own consumer group.
Not here: scoring (pipeline.py), offsets and flushing (the generic worker).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from streamgauge.stream_processors.core.chunks import Chunk, Cut, DeadLetter
from streamgauge.stream_processors.reading.labels import CAP
from streamgauge.stream_processors.reading.requests import ReadRequest, RequestReader
from streamgauge.stream_processors.scores.cells import cells_of
from streamgauge.stream_processors.scores.pipeline import Pipeline, ScoredRequest
from streamgauge.stream_processors.scores.rows import score_rows, window_rows
from streamgauge.stream_processors.scores.scorer import RequestFacts

WINDOWS: Final = "score_windows"
SCORES: Final = "scores"


@dataclass(frozen=True, slots=True)
class ScoreCut:
    """Requests in waiting, and for each the tables that still lack it."""

    pipeline: Pipeline
    requests: Sequence[tuple[ScoredRequest, frozenset[str]]]

    @property
    def fences(self) -> Mapping[str, Mapping[str, int]]:
        """None."""
        return {}

    @property
    def dead_letters(self) -> Sequence[DeadLetter]:
        """None: the metrics writer refuses bad input."""
        return ()

    def build(self) -> Mapping[str, pa.Table]:
        """Run the scorers; rows of both tables."""
        tables = {id(request): lacking for request, lacking in self.requests}
        judged = self.pipeline.judge([request for request, _ in self.requests])
        out: dict[str, pa.Table] = {}
        cells = cells_of(j for j in judged if WINDOWS in tables[id(j.request)])
        if cells:
            out[WINDOWS] = window_rows(cells)
        rows = score_rows(j for j in judged if SCORES in tables[id(j.request)])
        if rows.num_rows:
            out[SCORES] = rows
        return out


class ScoreProcessor:
    """chunks.Processor of the writer `scores`."""

    writer = "scores"
    tables = (WINDOWS, SCORES)

    def __init__(self, pipeline: Pipeline, *, label_cap: int = CAP) -> None:
        self._pipeline = pipeline
        self._reader = RequestReader(label_cap=label_cap)
        self._waiting: list[tuple[ScoredRequest, frozenset[str]]] = []

    def absorb(self, chunk: Chunk) -> int | None:
        """Keep the requests of a chunk; the latest event time in it."""
        requests, max_ts = self._reader.read(chunk)
        if chunk.tables:
            self._waiting.extend((_scored_request(chunk, r), chunk.tables) for r in requests)
        return max_ts

    def cut(self, *, now_ms: int) -> Cut:
        """The requests since the last cut, to be scored."""
        waiting, self._waiting = self._waiting, []
        return ScoreCut(self._pipeline, waiting)

    def reset(self) -> None:
        """Forget what was not cut, and what was seen."""
        self._waiting = []
        self._reader.reset()

    def restore(self, state: object) -> None:
        """Take in which events were seen below the resume positions."""
        self._reader.restore(state)


def _scored_request(chunk: Chunk, read: ReadRequest) -> ScoredRequest:
    event: Any = read.event
    return ScoredRequest(
        src=chunk.src,
        partition=chunk.partition,
        offset=read.offset,
        event_id=event.id,
        ts=event.ts,
        tenant=event.tenant,
        app=event.app,
        env=event.env,
        provider=event.provider,
        model=event.model,
        prompt_name=event.prompt_name or "",
        prompt_version=event.prompt_version or "",
        content=event.content,
        input_text=event.input_text,
        output_text=event.output_text,
        text_probability=event.text_probability or 1.0,
        facts=RequestFacts(event.logprob_mean, event.logprob_n, event.output_tokens),
    )
