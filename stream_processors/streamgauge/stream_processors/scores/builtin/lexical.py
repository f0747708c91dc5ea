"""Abusive language by a short word list: a hint, never toxicity.

In: a text. Out: metric `abusive_language_lexical`, 1 if a listed word or phrase occurs, else 0, and
the categories that were hit as the label. It knows no context: quotations and harmless swearing
count, disguised spelling does not. Its metric has a name of its own, so that nobody takes it for
Detoxify's. English only: a text mostly in another script is `unsupported_language`.
The list is data (lexicon.tsv); a changed list is a new version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Final

from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.scores import ScoreStatus, Side
from streamgauge.stream_processors.scores.scorer import Kind, Metric, NotScored, Outcome, Scored

_WORD: Final = re.compile(r"[a-z]+(?:'[a-z]+)*")
_MARKS: Final = str.maketrans({"\u2019": "'", "\u2018": "'"})
MIN_LATIN_SHARE: Final = 0.5


def parse_lexicon(lines: Iterable[str]) -> dict[tuple[str, ...], str]:
    """Terms (as words) and their categories. Misconfigured names the line that is wrong."""
    terms: dict[tuple[str, ...], str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        term, _, category = line.rstrip("\n").partition("\t")
        words = tuple(_WORD.findall(term))
        if not category or " ".join(words) != term:
            raise Misconfigured(
                f"lexicon line {number}: expected lower-case words, a tab and a category"
            )
        terms[words] = category
    return terms


def latin_share(text: str) -> float:
    """Share of a text's letters that are Latin; 1 if it has no letters."""
    letters = [c for c in text if c.isalpha()]
    if not letters:
        return 1.0
    return sum(c < "\u0250" for c in letters) / len(letters)


class LexicalAbuse:
    """The scorer `lexical`."""

    name = "lexical"
    version = "1"
    kind = Kind.HEURISTIC
    sides = frozenset({Side.PROMPT, Side.RESPONSE})
    metrics = (Metric("abusive_language_lexical"),)
    weights_hash = ""
    engine = ""

    def __init__(self, terms: Mapping[tuple[str, ...], str] | None = None) -> None:
        if terms is None:
            with files(__package__).joinpath("lexicon.tsv").open(encoding="utf-8") as lines:
                terms = parse_lexicon(lines)
        self._terms = dict(terms)
        self._starts: dict[str, list[tuple[str, ...]]] = {}
        for words in terms:
            self._starts.setdefault(words[0], []).append(words)

    def score_batch(self, texts: Sequence[str]) -> Sequence[Outcome]:
        """1 or 0 per text; the label holds the categories, sorted, with commas."""
        return [self._score(text) for text in texts]

    def _score(self, text: str) -> Outcome:
        if latin_share(text) < MIN_LATIN_SHARE:
            return NotScored(ScoreStatus.UNSUPPORTED_LANGUAGE, "not_latin")
        words = tuple(_WORD.findall(text.translate(_MARKS).lower()))
        hit = {
            self._terms[term]
            for i, word in enumerate(words)
            for term in self._starts.get(word, ())
            if words[i : i + len(term)] == term
        }
        return Scored((1.0 if hit else 0.0,), ",".join(sorted(hit)))
