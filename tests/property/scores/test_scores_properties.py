"""Statuses add up to the requests seen; cells of any split merge to the same bytes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from streamgauge.stream_processors.scores.builtin.lexical import LexicalAbuse
from streamgauge.stream_processors.scores.builtin.perplexity import Perplexity
from streamgauge.stream_processors.scores.builtin.structure import JsonValidity
from streamgauge.stream_processors.scores.cache import OutcomeCache
from streamgauge.stream_processors.scores.cells import Cell, cells_of, merge_cells
from streamgauge.stream_processors.scores.pipeline import Pipeline, ScoredRequest
from streamgauge.stream_processors.scores.registry import AnyScorer
from streamgauge.stream_processors.scores.runner import ThreadRunner
from streamgauge.stream_processors.scores.scorer import RequestFacts
from streamgauge.stream_processors.scores.toxicity.slot import toxicity_scorer

SCORERS: tuple[AnyScorer, ...] = (LexicalAbuse(), JsonValidity(), Perplexity(), toxicity_scorer({}))
RUNNER = ThreadRunner(1)

texts = st.none() | st.sampled_from(["", " ", "you idiot", "{}", "\u4f60\u597d"]) | st.text()
requests = st.builds(
    ScoredRequest,
    src=st.just("llm.events.v1@0"),
    partition=st.just(0),
    offset=st.integers(0, 100),
    event_id=st.text(max_size=8),
    ts=st.integers(1_700_000_000_000, 1_700_000_300_000),
    tenant=st.sampled_from(["a", "b"]),
    app=st.just("app"),
    env=st.just("prod"),
    provider=st.just("openai"),
    model=st.sampled_from(["m1", "m2"]),
    prompt_name=st.just(""),
    prompt_version=st.just(""),
    content=st.sampled_from(["redacted", "none", "sampled_out"]),
    input_text=texts,
    output_text=texts,
    text_probability=st.sampled_from([1.0, 0.5, 0.3]),
    facts=st.builds(
        RequestFacts,
        logprob_mean=st.none() | st.floats(-200, 5),
        logprob_n=st.none(),
        output_tokens=st.none(),
    ),
)


def make(share: float, *, cache: int) -> Pipeline:
    return Pipeline(SCORERS, probability=lambda _: share, cache=OutcomeCache(cache), runner=RUNNER)


@given(st.lists(requests, max_size=30), st.sampled_from([1.0, 0.5, 0.01]))
@settings(deadline=None, max_examples=60)
def test_statuses_add_up_to_the_requests_seen(batch: list[ScoredRequest], share: float) -> None:
    cells = cells_of(make(share, cache=100).judge(batch))
    for scorer in SCORERS:
        for side in scorer.sides:
            for metric in scorer.metrics:
                seen = sum(
                    sum(cell.n.values())
                    for key, cell in cells.items()
                    if (key.scorer, key.side, key.name) == (scorer.name, side, metric.name)
                    and key.resolution_s == 60
                )
                assert seen == len(batch)


def fingerprint(cell: Cell) -> tuple[object, ...]:
    """A cell without the one thing that the cut decides: which of equal texts came first."""
    n = {str(k): v for k, v in cell.n.items()}
    with_value = n.pop("scored", 0) + n.pop("cached", 0)
    rest = {name: getattr(cell, name) for name in Cell.__slots__ if name != "n"}
    return (
        with_value,
        sorted(n.items()),
        repr({k: sorted(v.items()) if isinstance(v, dict) else v for k, v in rest.items()}),
    )


@given(st.lists(requests, max_size=25), st.lists(st.integers(0, 25), max_size=4), st.booleans())
@settings(deadline=None, max_examples=60)
def test_any_split_merges_to_the_same_cells(
    batch: list[ScoredRequest], cuts: list[int], cached: bool
) -> None:
    whole = cells_of(make(0.7, cache=100).judge(batch))
    bounds = [0, *sorted(min(c, len(batch)) for c in cuts), len(batch)]
    pipeline = make(0.7, cache=100 if cached else 0)
    parts = [cells_of(pipeline.judge(batch[a:b])) for a, b in pairwise(bounds)]
    merged = merge_cells(parts)
    assert {k: fingerprint(c) for k, c in merged.items()} == {
        k: fingerprint(c) for k, c in whole.items()
    }
