"""Why an input was refused: the closed set of codes, used as metric label, header and column.

Both decoders, the dead-letter topic and the table `dead_letters` use these words. Imports no
pydantic. A new code is an additive change; a code never changes its meaning.
"""

from __future__ import annotations

from enum import StrEnum


class Reject(StrEnum):
    """Reason of a dead letter. When several apply, the first in this order is given."""

    TOO_LARGE = "too_large"
    BAD_JSON = "bad_json"
    UNKNOWN_MAJOR = "unknown_major"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    UNKNOWN_VALUE = "unknown_value"
    TS_TOO_OLD = "ts_too_old"
    TS_IN_FUTURE = "ts_in_future"
    OUT_OF_BOUNDS = "out_of_bounds"


MEANING: dict[Reject, str] = {
    Reject.TOO_LARGE: "more than 64 KiB",
    Reject.BAD_JSON: "not UTF-8, not JSON, NaN or Infinity written bare, or nested too deep",
    Reject.UNKNOWN_MAJOR: "`v` is an integer other than 1",
    Reject.MISSING_FIELD: "a required field is absent or null",
    Reject.WRONG_TYPE: "another JSON type than the field's (1.0 and true are no integers)",
    Reject.NOT_FINITE: "a number that does not fit in a 64-bit float (1e400)",
    Reject.UNKNOWN_VALUE: "a closed choice holds a word that is not in the list",
    Reject.TS_TOO_OLD: "`ts` before 2015-01-01",
    Reject.TS_IN_FUTURE: "`ts` more than 60 s after Kafka's append time",
    Reject.OUT_OF_BOUNDS: "a number, length or count outside its bound",
}
