"""Errors of the embedded server, in ClickHouse's own terms.

In: a message of the engine, or our own refusal. Out: code, name, one-line text and the HTTP status
that a ClickHouse server answers with, so that every ClickHouse client understands them.
"""

from __future__ import annotations

import re

_CODE = re.compile(r"Code:\s*(\d+)")
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]+)\)")

BAD_ARGUMENTS = 36
NOT_IMPLEMENTED = 48
SYNTAX_ERROR = 62
UNKNOWN_FORMAT = 73
TIMEOUT_EXCEEDED = 159
READONLY = 164
TOO_MANY_QUERIES = 202
SOCKET_TIMEOUT = 209
ABORTED = 236
QUERY_CANCELLED = 394
REFUSED_BY_GUARD = 395
RESULT_TOO_LARGE = 396
SESSION_IS_LOCKED = 373
SESSION_NOT_FOUND = 372
ACCESS_DENIED = 497
AUTHENTICATION_FAILED = 516
BODY_TOO_LARGE = 161
NOT_ENOUGH_SPACE = 243
CANNOT_DECOMPRESS = 271
INTERNAL = 1002

_NAMES = {
    BAD_ARGUMENTS: "BAD_ARGUMENTS",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    UNKNOWN_FORMAT: "UNKNOWN_FORMAT",
    TIMEOUT_EXCEEDED: "TIMEOUT_EXCEEDED",
    READONLY: "READONLY",
    TOO_MANY_QUERIES: "TOO_MANY_SIMULTANEOUS_QUERIES",
    SOCKET_TIMEOUT: "SOCKET_TIMEOUT",
    ABORTED: "ABORTED",
    QUERY_CANCELLED: "QUERY_WAS_CANCELLED",
    REFUSED_BY_GUARD: "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
    RESULT_TOO_LARGE: "TOO_MANY_ROWS_OR_BYTES",
    SESSION_IS_LOCKED: "SESSION_IS_LOCKED",
    SESSION_NOT_FOUND: "SESSION_NOT_FOUND",
    ACCESS_DENIED: "ACCESS_DENIED",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    BODY_TOO_LARGE: "TOO_LARGE_REQUEST_BODY",
    NOT_ENOUGH_SPACE: "NOT_ENOUGH_SPACE",
    CANNOT_DECOMPRESS: "CANNOT_DECOMPRESS",
    INTERNAL: "UNKNOWN_EXCEPTION",
}
# What ClickHouse's HTTP handler answers, by error code; everything else is 500.
_STATUS = (
    dict.fromkeys((6, 26, 27, 36, 38, 41, 42, 43, 44, 50, 53, 62, 69, 72, 117, 130, 131), 400)
    | dict.fromkeys((246, 271, 349, 441, 456, 457), 400)
    | dict.fromkeys((16, 46, 47, 56, 60, 73, 81, 115), 404)
    | {48: 501, 159: 408, 161: 413, 209: 408, 202: 503, 164: 403, 497: 403, 516: 403, 395: 409}
)


class EngineError(Exception):
    """A refusal with a ClickHouse error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.text = message

    @classmethod
    def of(cls, code: int, message: str) -> EngineError:
        """Our own refusal, worded like the engine's."""
        return cls(code, f"Code: {code}. DB::Exception: {message} ({_NAMES[code]})")

    @classmethod
    def from_engine(cls, message: str) -> EngineError:
        """Error from the text that the engine raised."""
        found = _CODE.search(message)
        return cls(int(found.group(1)) if found else INTERNAL, message)

    @property
    def name(self) -> str:
        """Symbolic name, such as UNKNOWN_TABLE."""
        names = _NAME.findall(self.text)
        return names[-1] if names else _NAMES.get(self.code, "UNKNOWN_EXCEPTION")

    @property
    def http_status(self) -> int:
        """Status of the HTTP answer."""
        return _STATUS.get(self.code, 500)
