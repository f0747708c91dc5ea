"""Which scorers run: the built-in ones, the toxicity slot, and those that other packages bring.

In: settings, the environment, installed entry points of the group `streamgauge.scorers`.
Out: the scorers by name. A scorer that cannot be loaded stops the start: scores that are missing
without a word would be false calm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Final, TypeAlias

from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.scores import Side
from streamgauge.stream_processors.scores.builtin.lexical import LexicalAbuse
from streamgauge.stream_processors.scores.builtin.perplexity import Perplexity
from streamgauge.stream_processors.scores.builtin.structure import JsonValidity
from streamgauge.stream_processors.scores.scorer import (
    Kind,
    Metric,
    RequestScorer,
    Scorer,
    TextScorer,
)
from streamgauge.stream_processors.scores.settings import ScoreSettings
from streamgauge.stream_processors.scores.toxicity.slot import (
    METRIC,
    MissingScorer,
    toxicity_scorer,
)

GROUP: Final = "streamgauge.scorers"
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
AnyScorer: TypeAlias = Scorer | MissingScorer


def load_scorers(
    settings: ScoreSettings,
    env: Mapping[str, str],
    *,
    plugins: Iterable[EntryPoint] | None = None,
) -> tuple[AnyScorer, ...]:
    """The scorers to run, by name. plugins: None = what is installed.

    Raises Misconfigured for an unknown name in the settings and for a plugin that does not load,
    is not a scorer, or takes a name or the metric `toxicity` that is not its own.
    """
    found: dict[str, AnyScorer] = {}
    own: tuple[AnyScorer, ...] = (
        LexicalAbuse(),
        JsonValidity(),
        Perplexity(),
        toxicity_scorer(env),
    )
    for scorer in own:
        found[scorer.name] = scorer
    installed = entry_points(group=GROUP) if plugins is None else plugins
    for entry in sorted(installed, key=lambda e: (e.name, e.value)):
        plugin = _load(entry)
        if plugin.name in found:
            raise Misconfigured(f"{_where(entry)}: a scorer {plugin.name!r} is there already")
        found[plugin.name] = plugin
    wanted = settings.enabled if settings.enabled is not None else frozenset(found)
    _known(wanted, found, "STREAMGAUGE_SCORERS")
    _known(settings.probabilities, found, "STREAMGAUGE_SCORES_SAMPLE")
    return tuple(found[name] for name in sorted(wanted))


def _known(names: Iterable[str], found: Mapping[str, AnyScorer], variable: str) -> None:
    unknown = sorted(set(names) - found.keys())
    if unknown:
        raise Misconfigured(f"{variable}: no scorer {unknown[0]!r}; there are {sorted(found)}")


def _where(entry: EntryPoint) -> str:
    return f"scorer {entry.name!r} ({entry.value})"


def _load(entry: EntryPoint) -> Scorer:
    try:
        scorer = entry.load()()
    except Exception as e:
        raise Misconfigured(
            f"{_where(entry)} cannot be loaded: {type(e).__name__}: {e}",
            hint="mend or uninstall the package that brings it",
        ) from e
    if not isinstance(scorer, (TextScorer, RequestScorer)):
        raise Misconfigured(
            f"{_where(entry)} lacks attributes of a scorer",
            hint="see streamgauge.stream_processors.scores.scorer",
        )
    problem = _problem(scorer)
    if problem:
        raise Misconfigured(f"{_where(entry)}: {problem}")
    return scorer


def _problem(scorer: Scorer) -> str:
    """What is wrong with a plugin's description of itself; empty if nothing is."""
    if not isinstance(scorer.name, str) or not _NAME.fullmatch(scorer.name):
        return f"name {scorer.name!r}, expected lower-case letters, digits, - and _"
    if not isinstance(scorer.version, str) or not scorer.version:
        return f"version {scorer.version!r}, expected a word"
    if not isinstance(scorer.kind, Kind):
        return f"kind {scorer.kind!r}, expected one of scores.scorer.Kind"
    if not scorer.sides or not scorer.sides <= {Side.PROMPT, Side.RESPONSE}:
        return f"sides {scorer.sides!r}, expected prompt, response or both"
    if isinstance(scorer, RequestScorer) and len(scorer.sides) != 1:
        return "a scorer of requests is filed under exactly one side"
    if not scorer.metrics or not all(isinstance(m, Metric) for m in scorer.metrics):
        return f"metrics {scorer.metrics!r}, expected at least one scores.scorer.Metric"
    names = [m.name for m in scorer.metrics]
    if len(set(names)) < len(names):
        return f"metrics {names} repeat a name"
    if METRIC in names:
        return f"the metric {METRIC!r} belongs to the toxicity model alone"
    return ""
