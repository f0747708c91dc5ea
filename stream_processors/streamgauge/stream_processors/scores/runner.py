"""Runs scorers, away from the worker's loop, and keeps a poison text from its neighbours.

In: a scorer and its inputs. Out: one checked outcome per input, in order. Called in the flush
thread (chunks.Cut.build), so the event loop never waits; batches spread over threads. `Runner` is
the port: a pool of processes takes this place when a scorer with weights needs one.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

from streamgauge.contracts.scores import ScoreStatus
from streamgauge.stream_processors.scores.scorer import (
    NotScored,
    Outcome,
    RequestFacts,
    RequestScorer,
    Scored,
    ScorerIdentity,
    TextScorer,
)

log = logging.getLogger(__name__)
BATCH: Final = 64
T = TypeVar("T")
WITHOUT_VALUE: Final = frozenset(
    {
        ScoreStatus.NO_TEXT,
        ScoreStatus.BAD_TEXT,
        ScoreStatus.UNSUPPORTED_LANGUAGE,
        ScoreStatus.NO_SCORER,
        ScoreStatus.ERROR,
    }
)
"""What a scorer may answer instead of a value; the other statuses are the pipeline's."""


class Runner(Protocol):
    """Where scorers run."""

    def texts(self, scorer: TextScorer, texts: Sequence[str]) -> list[Outcome]:
        """One outcome per text; never raises for a scorer's fault."""

    def requests(self, scorer: RequestScorer, requests: Sequence[RequestFacts]) -> list[Outcome]:
        """One outcome per request; never raises for a scorer's fault."""

    def close(self) -> None:
        """Stop its threads or processes."""


class ThreadRunner:
    """Runs batches on threads. threads: 1 or more; engines that release the GIL gain from more."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="scorer")

    def texts(self, scorer: TextScorer, texts: Sequence[str]) -> list[Outcome]:
        """One outcome per text."""
        return self._spread(scorer, scorer.score_batch, texts)

    def requests(self, scorer: RequestScorer, requests: Sequence[RequestFacts]) -> list[Outcome]:
        """One outcome per request."""
        return self._spread(scorer, scorer.score_requests, requests)

    def close(self) -> None:
        """Start no further batch; one that runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _spread(
        self,
        scorer: ScorerIdentity,
        score: Callable[[Sequence[T]], Sequence[Outcome]],
        inputs: Sequence[T],
    ) -> list[Outcome]:
        batches = [inputs[i : i + BATCH] for i in range(0, len(inputs), BATCH)]
        results = self._pool.map(lambda batch: _isolated(scorer, score, batch), batches)
        return [outcome for result in results for outcome in result]


def _isolated(
    scorer: ScorerIdentity, score: Callable[[Sequence[T]], Sequence[Outcome]], batch: Sequence[T]
) -> list[Outcome]:
    """Outcomes of a batch; a batch that raises is halved until the guilty input stands alone."""
    if not batch:
        return []
    try:
        outcomes = score(batch)
        if len(outcomes) != len(batch):
            raise ValueError(f"{len(outcomes)} outcomes for {len(batch)} inputs")
        return [_checked(scorer, outcome) for outcome in outcomes]
    except Exception as e:  # noqa: BLE001  a scorer may be anybody's code
        if len(batch) == 1:
            # The message may quote the text: only the class of the error is told.
            log.warning("scorer_failed", extra={"scorer": scorer.name, "error": type(e).__name__})
            return [NotScored(ScoreStatus.ERROR, type(e).__name__)]
    half = len(batch) // 2
    return _isolated(scorer, score, batch[:half]) + _isolated(scorer, score, batch[half:])


def _checked(scorer: ScorerIdentity, outcome: Outcome) -> Outcome:
    if isinstance(outcome, NotScored):
        if outcome.status in WITHOUT_VALUE:
            return outcome
        return NotScored(ScoreStatus.ERROR, "bad_status")
    if not isinstance(outcome, Scored) or len(outcome.values) != len(scorer.metrics):
        return NotScored(ScoreStatus.ERROR, "bad_outcome")
    if not all(math.isfinite(v) for v in outcome.values):
        return NotScored(ScoreStatus.ERROR, "not_finite")
    return outcome
