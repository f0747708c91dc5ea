"""Statuses, samples, the cache, and poison texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from streamgauge.contracts.scores import ScoreStatus, Side
from streamgauge.stream_processors.scores.builtin.lexical import LexicalAbuse
from streamgauge.stream_processors.scores.builtin.perplexity import Perplexity
from streamgauge.stream_processors.scores.cache import OutcomeCache
from streamgauge.stream_processors.scores.cells import MICRO, cells_of, score_bin
from streamgauge.stream_processors.scores.pipeline import Judged, Pipeline, ScoredRequest
from streamgauge.stream_processors.scores.registry import AnyScorer
from streamgauge.stream_processors.scores.runner import ThreadRunner
from streamgauge.stream_processors.scores.sampling import is_sampled
from streamgauge.stream_processors.scores.scorer import (
    Kind,
    Law,
    Metric,
    Outcome,
    RequestFacts,
    Scored,
)
from streamgauge.stream_processors.scores.toxicity.slot import toxicity_scorer

T = 1_700_000_000_000


class Poisonable:
    """Raises on poison, answers NaN on `nan`, else the length / 100; counts what it is given."""

    name, version, kind = "poisonable", "1", Kind.HEURISTIC
    sides = frozenset({Side.RESPONSE})
    metrics = (Metric("len"),)
    weights_hash = engine = ""

    def __init__(self) -> None:
        self.given: list[str] = []

    def score_batch(self, texts: Sequence[str]) -> Sequence[Outcome]:
        if "poison" in texts:
            raise RuntimeError("a message with the text in it")
        self.given.extend(texts)
        return [Scored((float("nan") if t == "nan" else len(t) / 100,)) for t in texts]


def request(
    i: int,
    *,
    prompt: str | None = "hello",
    answer: str | None = "fine",
    content: str = "redacted",
    kept: float = 1.0,
    logprob: float | None = None,
) -> ScoredRequest:
    return ScoredRequest(
        "llm.events.v1@0", 0, i,
        f"e{i}", T + i, "default", "chat", "prod", "openai", "gpt-4o", "", "",
        content, prompt, answer, kept, RequestFacts(logprob, None, None),
    )  # fmt: skip


@pytest.fixture
def runner() -> Iterator[ThreadRunner]:
    runner = ThreadRunner(2)
    yield runner
    runner.close()


def pipeline(runner: ThreadRunner, *scorers: AnyScorer, share: float = 1.0) -> Pipeline:
    return Pipeline(scorers, probability=lambda _: share, cache=OutcomeCache(1000), runner=runner)


def by_status(judged: list[Judged]) -> Counter[str]:
    return Counter(j.status.value for j in judged)


def test_each_request_ends_in_one_status_per_side(runner: ThreadRunner) -> None:
    requests = [
        request(1),
        request(2, prompt=None, content="none"),
        request(3, prompt="  "),
        request(4, prompt=None, content="sampled_out"),
        request(5, prompt="\u4f60\u597d\u4e16\u754c"),
        request(6, prompt="hello"),  # the same text as request 1
    ]
    judged = [j for j in pipeline(runner, LexicalAbuse()).judge(requests) if j.side is Side.PROMPT]
    assert by_status(judged) == {
        "scored": 1, "no_text": 2, "sampled_out": 1, "unsupported_language": 1, "cached": 1,
    }  # fmt: skip


def test_missing_weights_count_every_request_and_give_no_value(runner: ThreadRunner) -> None:
    judged = pipeline(runner, toxicity_scorer({})).judge([request(i) for i in range(5)])
    assert by_status(judged) == {"no_scorer": 10}  # prompt and response
    assert all(j.values == () for j in judged)


def test_a_poison_text_costs_only_itself(runner: ThreadRunner) -> None:
    answers = [f"answer {i}" for i in range(200)]
    answers[70] = "poison"
    answers[71] = "nan"
    requests = [request(i, answer=a) for i, a in enumerate(answers)]
    judged = pipeline(runner, Poisonable()).judge(requests)
    assert by_status(judged) == {"scored": 198, "error": 2}
    errors = {j.request.event_id: j.label for j in judged if j.status is ScoreStatus.ERROR}
    assert errors == {"e70": "RuntimeError", "e71": "not_finite"}


def test_errors_are_not_cached_and_values_are_bit_for_bit(runner: ThreadRunner) -> None:
    scorer = Poisonable()
    p = pipeline(runner, scorer)
    first = p.judge([request(1, answer="x" * 37), request(2, answer="poison")])
    again = p.judge([request(3, answer="x" * 37), request(4, answer="poison")])
    assert [j.status.value for j in first] == ["scored", "error"]
    assert [j.status.value for j in again] == ["cached", "error"]
    assert again[0].values == first[0].values
    assert scorer.given == ["x" * 37]


def test_a_poison_text_twice_in_one_batch_is_an_error_twice(runner: ThreadRunner) -> None:
    judged = pipeline(runner, Poisonable()).judge([request(i, answer="poison") for i in range(2)])
    assert by_status(judged) == {"error": 2}


def test_the_sample_is_the_same_in_a_replay_and_has_its_share(runner: ThreadRunner) -> None:
    requests = [request(i, answer=f"a{i}") for i in range(4000)]
    one = pipeline(runner, Poisonable(), share=0.25).judge(requests)
    two = pipeline(runner, Poisonable(), share=0.25).judge(requests[::-1])
    chosen = {j.request.event_id for j in one if j.status is ScoreStatus.SCORED}
    assert chosen == {j.request.event_id for j in two if j.status is ScoreStatus.SCORED}
    assert 900 < len(chosen) < 1100  # 1000 expected, sd 27
    assert {j.probability for j in one if j.status is ScoreStatus.SCORED} == {0.25}


def test_a_smaller_sample_is_part_of_a_larger_one() -> None:
    ids = [f"e{i}" for i in range(2000)]
    small = {i for i in ids if is_sampled(i, 0.1)}
    assert small < {i for i in ids if is_sampled(i, 0.3)}


def test_weights_undo_the_sender_s_and_our_sampling(runner: ThreadRunner) -> None:
    requests = [request(i, prompt=f"idiot {i}", kept=0.5) for i in range(4000)]
    judged = pipeline(runner, LexicalAbuse(), share=0.5).judge(requests)
    cells = cells_of(judged)
    (cell,) = [c for k, c in cells.items() if k.side == "prompt" and k.resolution_s == 3600]
    scored = cell.n[ScoreStatus.SCORED]
    assert cell.weight_sum == scored * 4 * MICRO
    assert cell.weighted_value_sum == cell.weight_sum  # every one of them is flagged
    assert cell.hits == [scored, scored]


def test_numbers_are_scored_even_when_texts_were_sampled_away(runner: ThreadRunner) -> None:
    requests = [request(1, logprob=-0.5, answer=None, content="sampled_out", kept=0.1)]
    (judged,) = pipeline(runner, Perplexity()).judge(requests)
    assert (judged.status, judged.probability) == (ScoreStatus.SCORED, 1.0)
    cell, *others = cells_of([judged]).values()
    assert others == [cell, cell]  # 10 s, 60 s, 3600 s
    assert cell.value_sum == 1_648_721  # exp(0.5) = 1.6487213
    assert cell.hits == [0, 0]
    assert cell.histogram == {score_bin(1.6487213, Law.LOG2): 1}


def test_cells_hold_the_requests_window(runner: ThreadRunner) -> None:
    cells = cells_of(pipeline(runner, LexicalAbuse()).judge([request(0), request(60_000)]))
    minute = T // 60_000 * 60_000
    assert {k.t_ms for k in cells if k.resolution_s == 60} == {minute, minute + 60_000}
    assert {k.t_ms for k in cells if k.resolution_s == 10} == {T, T + 60_000}
