"""Score rows: what one scorer said about one text of one request. Rows of the table `scores`.

Every text ends in exactly one status, and per window the statuses add up to the requests seen.
Without a value the value is null, never 0.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from streamgauge.contracts.bounds import MAX_ID_CHARS, TS_MIN_MS
from streamgauge.contracts.records import LOW_CARDINALITY, Label, Record

Dimension = Annotated[Label, Field(json_schema_extra=LOW_CARDINALITY)]


class ScoreStatus(StrEnum):
    """What became of a text."""

    SCORED = "scored"
    CACHED = "cached"
    SAMPLED_OUT = "sampled_out"
    SHED = "shed"
    NO_SCORER = "no_scorer"
    NO_TEXT = "no_text"
    UNSUPPORTED_LANGUAGE = "unsupported_language"
    BAD_TEXT = "bad_text"
    ERROR = "error"


WITH_VALUE = frozenset({ScoreStatus.SCORED, ScoreStatus.CACHED})


class Side(StrEnum):
    """Which text was scored."""

    PROMPT = "prompt"
    RESPONSE = "response"
    PAIR = "pair"


class ScoreRow(Record):
    """One score, or the reason why there is none."""

    event_id: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)] = Field(
        description="Id of the request."
    )
    ts: Annotated[int, Field(ge=TS_MIN_MS)] = Field(
        description="ts of the request, ms since the epoch."
    )
    side: Side = Field(description="Which text.")
    scorer: Dimension = Field(description="Name of the scorer.")
    scorer_version: Dimension = Field(description="Version of the scorer.")
    weights_hash: Dimension | None = Field(None, description="sha256 of the weights, if any.")
    engine: Dimension | None = Field(None, description="What ran it, such as ort-int8pc.")
    name: Dimension = Field(description="What is measured, such as `toxicity`.")
    value: float | None = Field(None, description="The score; null unless scored or cached.")
    label: Dimension | None = Field(None, description="The score as a word.")
    status: ScoreStatus = Field(description="What became of the text.")
    probability: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="With which probability the text was scored; its weight is 1 / it."
    )
