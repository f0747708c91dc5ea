"""The one error tree. Branch on what the caller can do about it.

    StreamgaugeError
    |-- Misconfigured        stop at start-up; exit code 2
    |-- BadInput             refuse this input (dead letter, error line); the neighbours go on
    |-- Retryable            back off and try the same again
        |-- Unreachable      a service does not answer; exit code 3
        |-- UnknownOutcome   the request left, no answer came: repeat the very same bytes

Everything else is a bug and propagates. Imports nothing: the embedded client loads this module.
"""

from __future__ import annotations


class StreamgaugeError(Exception):
    """Root of all errors that streamgauge raises on purpose.

    message: what, where, the value seen and what was expected, in one line.
    hint: how to mend it, in one line; empty if the message says so already.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """The message, with the hint in brackets."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Misconfigured(StreamgaugeError):
    """A setting, file or argument is wrong: nothing is started."""

    exit_code = 2


class BadInput(StreamgaugeError):
    """One input cannot be taken. `reason` is a short machine-readable code, a metric label."""

    exit_code = 1

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class Retryable(StreamgaugeError):
    """The same call may succeed later."""

    exit_code = 3


class Unreachable(Retryable):
    """A service does not answer at its address."""


class UnknownOutcome(Retryable):
    """The request left and its answer was lost: it may or may not have taken effect."""
