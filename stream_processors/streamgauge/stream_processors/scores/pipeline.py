"""Requests through scorers: every (request, side, scorer) ends in exactly one status.

In: requests, scorers, shares. Out: one `Judged` per request, side and scorer. Order of the tests,
and why it is this one:

1. `no_scorer`: the scorer is missing. Nothing else is looked at: its count is the requests seen.
2. `sampled_out`: the sender sampled the text away; `no_text`: there is none, or only blanks.
3. `sampled_out`: not in this scorer's sample. Before the cache, else texts seen before would be
   scored more often than others and rates would lean towards them.
4. `cached`: this very text had an outcome with a value, also earlier in the same call.
5. what the scorer says: `scored`, `bad_text`, `unsupported_language`, `error`.

`shed` is kept for scorers with a time budget; nothing sheds yet: a slow scorer holds its own
consumer group back, and no other. Whether a text is `scored` or `cached` depends on what this
process saw before; their sum and all values do not.
Not here: running scorers (runner.py), counting (cells.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamgauge.contracts.scores import ScoreStatus, Side
from streamgauge.stream_processors.scores.cache import OutcomeCache, text_key
from streamgauge.stream_processors.scores.registry import AnyScorer
from streamgauge.stream_processors.scores.runner import Runner
from streamgauge.stream_processors.scores.sampling import is_sampled
from streamgauge.stream_processors.scores.scorer import (
    NotScored,
    Outcome,
    RequestFacts,
    RequestScorer,
    Scored,
    TextScorer,
)
from streamgauge.stream_processors.scores.toxicity.slot import MissingScorer


@dataclass(frozen=True, slots=True)
class ScoredRequest:
    """What scoring needs of a request, and where it lies (src, partition, offset).

    ts: completion, ms. text_probability: with which probability the sender kept the text.
    """

    src: str
    partition: int
    offset: int
    event_id: str
    ts: int
    tenant: str
    app: str
    env: str
    provider: str
    model: str
    prompt_name: str
    prompt_version: str
    content: str
    input_text: str | None
    output_text: str | None
    text_probability: float
    facts: RequestFacts


@dataclass(frozen=True, slots=True)
class Judged:
    """The end of one (request, side, scorer). values: one per metric, empty without a value.

    probability: with which the text got this far, sender and sample together; its weight is 1 / it.
    """

    request: ScoredRequest
    side: Side
    scorer: AnyScorer
    status: ScoreStatus
    values: tuple[float, ...]
    label: str
    probability: float


class Pipeline:
    """Scorers with their shares, their cache and the runner that they run on."""

    def __init__(
        self,
        scorers: Sequence[AnyScorer],
        *,
        probability: Callable[[str], float],
        cache: OutcomeCache,
        runner: Runner,
    ) -> None:
        self._scorers = tuple(scorers)
        self._probability = probability
        self._cache = cache
        self._runner = runner

    def judge(self, requests: Sequence[ScoredRequest]) -> list[Judged]:
        """One `Judged` per request, side and scorer."""
        out: list[Judged] = []
        for scorer in self._scorers:
            for side in sorted(scorer.sides):
                if isinstance(scorer, MissingScorer):
                    out.extend(_without(r, side, scorer, ScoreStatus.NO_SCORER) for r in requests)
                elif isinstance(scorer, TextScorer):
                    self._judge_texts(scorer, side, requests, out)
                else:
                    self._judge_requests(scorer, side, requests, out)
        return out

    def _judge_texts(
        self, scorer: TextScorer, side: Side, requests: Sequence[ScoredRequest], out: list[Judged]
    ) -> None:
        share = self._probability(scorer.name)
        asked: list[tuple[ScoredRequest, bytes]] = []
        fresh: dict[bytes, str] = {}
        known: dict[bytes, Outcome] = {}
        for request in requests:
            text = request.input_text if side is Side.PROMPT else request.output_text
            if text is None and request.content == "sampled_out":
                out.append(_without(request, side, scorer, ScoreStatus.SAMPLED_OUT))
            elif text is None or not text.strip():
                out.append(_without(request, side, scorer, ScoreStatus.NO_TEXT))
            elif not is_sampled(request.event_id, share):
                out.append(_without(request, side, scorer, ScoreStatus.SAMPLED_OUT))
            else:
                key = text_key(scorer, text)
                asked.append((request, key))
                if key not in fresh and key not in known:
                    outcome = self._cache.get(key)
                    if outcome is None:
                        fresh[key] = text
                    else:
                        known[key] = outcome
        answers = dict(zip(fresh, self._runner.texts(scorer, list(fresh.values())), strict=True))
        for key, outcome in answers.items():
            if not _is_error(outcome):
                self._cache.put(key, outcome)
        for request, key in asked:
            first = key in answers and key not in known
            outcome = answers[key] if first else known[key]
            if first and not _is_error(outcome):
                known[key] = outcome
            kept = share * request.text_probability
            out.append(_judged(request, side, scorer, outcome, kept, cached=not first))

    def _judge_requests(
        self,
        scorer: RequestScorer,
        side: Side,
        requests: Sequence[ScoredRequest],
        out: list[Judged],
    ) -> None:
        share = self._probability(scorer.name)
        asked: list[ScoredRequest] = []
        for request in requests:
            if is_sampled(request.event_id, share):
                asked.append(request)
            else:
                out.append(_without(request, side, scorer, ScoreStatus.SAMPLED_OUT))
        outcomes = self._runner.requests(scorer, [r.facts for r in asked])
        for request, outcome in zip(asked, outcomes, strict=True):
            # Numbers are always sent: the sender's sampling of texts does not touch them.
            out.append(_judged(request, side, scorer, outcome, share, cached=False))


def _is_error(outcome: Outcome) -> bool:
    return isinstance(outcome, NotScored) and outcome.status is ScoreStatus.ERROR


def _judged(
    request: ScoredRequest,
    side: Side,
    scorer: AnyScorer,
    outcome: Outcome,
    probability: float,
    *,
    cached: bool,
) -> Judged:
    if isinstance(outcome, Scored):
        status = ScoreStatus.CACHED if cached else ScoreStatus.SCORED
        return Judged(request, side, scorer, status, outcome.values, outcome.label, probability)
    return Judged(request, side, scorer, outcome.status, (), outcome.label, probability)


def _without(request: ScoredRequest, side: Side, scorer: AnyScorer, status: ScoreStatus) -> Judged:
    return Judged(request, side, scorer, status, (), "", 1.0)
