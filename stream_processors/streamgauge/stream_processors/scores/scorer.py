"""The interface of a scorer: a feedback function with a name, a version and its own metrics.

A scorer of texts gets strings and gives one outcome for each, in order. A scorer of requests gets
the facts of the event (numbers, no texts). Write your own and name it in your package's metadata:

    [project.entry-points."streamgauge.scorers"]
    politeness = "mypackage.politeness:Politeness"     # a class or function without arguments

    class Politeness:
        name, version, kind = "politeness", "1", Kind.CODE
        sides = frozenset({Side.RESPONSE})
        metrics = (Metric("polite"),)
        weights_hash = engine = ""
        def score_batch(self, texts):
            return [Scored((1.0 if "please" in t.lower() else 0.0,)) for t in texts]

A change of any score is a new version: rows are grouped by (scorer, version), never mixed. A scorer
must be a function of the text alone, since its answers are cached. Not here: sampling, caching,
counting (pipeline.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias, runtime_checkable

from streamgauge.contracts.scores import ScoreStatus, Side


class Kind(StrEnum):
    """How a scorer comes to its answer."""

    CODE = "code"
    """exact: a rule about structure"""
    HEURISTIC = "heuristic"
    """model-free: words and patterns; wrong now and then"""
    NUMERIC = "numeric"
    """from numbers of the event; reads no text"""
    MODEL = "model"
    """weights"""


class Law(StrEnum):
    """How values of a metric spread over the 64 bins of a score histogram."""

    UNIT = "unit"
    """0..1, equal bins; hits at 0.5 and 0.9 mean something"""
    LOG2 = "log2"
    """0..4095, floor(4 log2(x + 1)); larger values count as the largest"""


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that a scorer measures. name: the column `name` of rows, unique per scorer."""

    name: str
    law: Law = Law.UNIT


@dataclass(frozen=True, slots=True)
class Scored:
    """values: one per metric of the scorer, finite. label: the answer as a word, or empty."""

    values: tuple[float, ...]
    label: str = ""


@dataclass(frozen=True, slots=True)
class NotScored:
    """Why there is no value: no_text, bad_text, unsupported_language, no_scorer or error.

    label: a short reason without any text of the request.
    """

    status: ScoreStatus
    label: str = ""


Outcome: TypeAlias = Scored | NotScored


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """The numbers of a request that a scorer of requests may read. None = unknown."""

    logprob_mean: float | None
    logprob_n: int | None
    output_tokens: int | None


class ScorerIdentity(Protocol):
    """What every scorer says about itself."""

    @property
    def name(self) -> str:
        """Name in rows and settings."""

    @property
    def version(self) -> str:
        """Changes with any change of a score."""

    @property
    def kind(self) -> Kind:
        """How it comes to its answer."""

    @property
    def sides(self) -> frozenset[Side]:
        """Which texts it reads. A scorer of requests has one side, to be filed under."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What it measures, at least one thing."""

    @property
    def weights_hash(self) -> str:
        """sha256 of its weights; empty without."""

    @property
    def engine(self) -> str:
        """What runs its weights, such as ort-int8pc; empty without."""


@runtime_checkable
class TextScorer(ScorerIdentity, Protocol):
    """Scores texts. Sides prompt and response (pair comes with the first scorer that needs it)."""

    def score_batch(self, texts: Sequence[str]) -> Sequence[Outcome]:
        """One outcome per text, in order. Texts hold no NUL, no lone surrogates, not only blanks.

        May be called from several threads at once. Raising costs only the guilty text: the batch
        is halved until it stands alone, and counted as `error`.
        """


@runtime_checkable
class RequestScorer(ScorerIdentity, Protocol):
    """Scores the numbers of requests."""

    def score_requests(self, requests: Sequence[RequestFacts]) -> Sequence[Outcome]:
        """One outcome per request, in order."""


Scorer: TypeAlias = TextScorer | RequestScorer
