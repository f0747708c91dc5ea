"""What the built-in scorers say, and what they refuse to say."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.scores import ScoreStatus, Side
from streamgauge.stream_processors.scores.builtin.lexical import LexicalAbuse, parse_lexicon
from streamgauge.stream_processors.scores.builtin.perplexity import Perplexity
from streamgauge.stream_processors.scores.builtin.structure import JsonValidity
from streamgauge.stream_processors.scores.registry import load_scorers
from streamgauge.stream_processors.scores.scorer import (
    Kind,
    Metric,
    NotScored,
    Outcome,
    RequestFacts,
    Scored,
)
from streamgauge.stream_processors.scores.settings import ScoreSettings
from streamgauge.stream_processors.scores.toxicity.slot import MissingScorer


class Politeness:
    """A user's scorer, as the docstring of scorer.py shows it."""

    name, version, kind = "politeness", "1", Kind.CODE
    sides = frozenset({Side.RESPONSE})
    metrics = (Metric("polite"),)
    weights_hash = engine = ""

    def score_batch(self, texts: Sequence[str]) -> Sequence[Outcome]:
        return [Scored((1.0 if "please" in t.lower() else 0.0,)) for t in texts]


class Impostor(Politeness):
    name = "impostor"
    metrics = (Metric("toxicity"),)


class Twin(Politeness):
    name = "lexical"


def plugin(attr: str) -> EntryPoint:
    return EntryPoint("plugin", f"{__name__}:{attr}", "streamgauge.scorers")


@pytest.mark.parametrize(
    ("text", "value", "label"),
    [
        ("Have a good day.", 0.0, ""),
        ("You are an IDIOT!", 1.0, "insult"),
        ("Shut up, idiot", 1.0, "hostility,insult"),
        ("Shut the door, and up you go", 0.0, ""),  # words of a phrase apart are no phrase
        ("I\u2019ll kill you", 1.0, "threat"),  # a typographic apostrophe
        ("The stupidity of it", 0.0, ""),  # whole words only
        ("1234 !!!", 0.0, ""),
    ],
)
def test_lexical_flags_listed_words_and_phrases_only(text: str, value: float, label: str) -> None:
    assert LexicalAbuse().score_batch([text]) == [Scored((value,), label)]


def test_lexical_does_not_call_chinese_harmless() -> None:
    (outcome,) = LexicalAbuse().score_batch(["\u4f60\u597d\u4e16\u754c ok"])
    assert outcome == NotScored(ScoreStatus.UNSUPPORTED_LANGUAGE, "not_latin")


def test_lexical_never_writes_toxicity() -> None:
    assert [m.name for m in LexicalAbuse.metrics] == ["abusive_language_lexical"]


def test_a_torn_lexicon_names_its_line() -> None:
    with pytest.raises(Misconfigured, match="line 2"):
        parse_lexicon(["fine\tinsult\n", "Not Lower\tinsult\n"])


@pytest.mark.parametrize(
    ("text", "value", "label"),
    [
        ('{"a": 1}', 1.0, "object"),
        (" [1, 2] \n", 1.0, "array"),
        ("```json\n{}\n```", 1.0, "fenced_object"),
        ("3", 1.0, "value"),
        ('{"a": 1} and more', 0.0, "not_json"),
        ("[NaN]", 0.0, "not_json"),
        ("[" * 60_000, 0.0, "too_deep"),
    ],
)
def test_json_validity(text: str, value: float, label: str) -> None:
    assert JsonValidity().score_batch([text]) == [Scored((value,), label)]


def test_perplexity_is_exp_of_minus_the_mean_logprob() -> None:
    # -ln 2 per token: as unsure as a fair coin.
    (coin,) = Perplexity().score_requests([RequestFacts(-math.log(2), 10, 10)])
    assert isinstance(coin, Scored)
    assert coin.values[0] == pytest.approx(2.0)


def test_perplexity_is_unknown_without_logprobs_and_refuses_positive_ones() -> None:
    outcomes = Perplexity().score_requests(
        [RequestFacts(None, None, 10), RequestFacts(0.1, 1, 1), RequestFacts(-1e9, 1, 1)]
    )
    assert [o.status for o in outcomes if isinstance(o, NotScored)] == [
        ScoreStatus.NO_TEXT,
        ScoreStatus.BAD_TEXT,
        ScoreStatus.BAD_TEXT,
    ]


def test_without_weights_nobody_scores_toxicity() -> None:
    scorers = {s.name: s for s in load_scorers(ScoreSettings(), {}, plugins=[])}
    assert sorted(scorers) == ["detoxify", "json", "lexical", "perplexity"]
    assert isinstance(scorers["detoxify"], MissingScorer)
    writers = [s.name for s in scorers.values() if any(m.name == "toxicity" for m in s.metrics)]
    assert writers == ["detoxify"]


def test_a_plugin_joins_the_built_in_scorers() -> None:
    scorers = load_scorers(ScoreSettings(), {}, plugins=[plugin("Politeness")])
    assert "politeness" in [s.name for s in scorers]


@pytest.mark.parametrize(
    ("attr", "says"),
    [
        ("Impostor", "toxicity"),
        ("Twin", "there already"),
        ("Path", "lacks attributes"),
        ("nothing_here", "cannot be loaded"),
    ],
)
def test_a_plugin_that_is_wrong_stops_the_start(attr: str, says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        load_scorers(ScoreSettings(), {}, plugins=[plugin(attr)])


def test_settings_name_the_scorer_that_does_not_exist() -> None:
    settings = ScoreSettings.from_env({"STREAMGAUGE_SCORERS": "lexical,toxic"})
    with pytest.raises(Misconfigured, match="STREAMGAUGE_SCORERS: no scorer 'toxic'"):
        load_scorers(settings, {}, plugins=[])
    with pytest.raises(Misconfigured, match="STREAMGAUGE_SCORES_SAMPLE holds '0'"):
        ScoreSettings.from_env({"STREAMGAUGE_SCORES_SAMPLE": "0"})


def test_sample_shares_are_read_per_scorer() -> None:
    settings = ScoreSettings.from_env({"STREAMGAUGE_SCORES_SAMPLE": "0.5,lexical=0.25"})
    assert (settings.probability("json"), settings.probability("lexical")) == (0.5, 0.25)


def write_bundle(folder: Path, *, weights: bytes = b"weights", stated: str = "") -> None:
    (folder / "model.onnx").write_bytes(weights)
    digest = stated or hashlib.sha256(weights).hexdigest()
    header = {
        "format": 1,
        "model": "original-small",
        "engine": "ort-int8pc",
        "labels": ["toxicity", "insult"],
        "files": {"model.onnx": digest},
    }
    (folder / "bundle.json").write_text(json.dumps(header))


def test_a_bundle_without_an_engine_is_no_scorer_and_says_so(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    env = {"STREAMGAUGE_DETOXIFY_BUNDLE": str(tmp_path)}
    scorer = {s.name: s for s in load_scorers(ScoreSettings(), env, plugins=[])}["detoxify"]
    assert isinstance(scorer, MissingScorer)
    assert "ort-int8pc" in scorer.reason


def test_a_tampered_or_missing_bundle_is_refused(tmp_path: Path) -> None:
    env = {"STREAMGAUGE_DETOXIFY_BUNDLE": str(tmp_path)}
    with pytest.raises(Misconfigured, match=r"bundle\.json: cannot be read"):
        load_scorers(ScoreSettings(), env, plugins=[])
    write_bundle(tmp_path, stated="0" * 64)
    with pytest.raises(Misconfigured, match=r"model\.onnx: sha256 is"):
        load_scorers(ScoreSettings(), env, plugins=[])
