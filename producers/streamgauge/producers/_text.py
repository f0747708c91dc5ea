"""Text that every JSON reader takes: no lone surrogates, no NUL, cut on a character."""

from __future__ import annotations

from typing import Final

from streamgauge.producers._values import Cut

GAP: Final = " [...] "
CUT_MARGIN: Final = 2_048
_REPLACEMENT: Final = "\ufffd"


def clean(text: str) -> str:
    """Lone surrogates and NUL become U+FFFD; surrogate pairs become their character."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", _REPLACEMENT) if "\0" in text else text


def cut(text: str, max_bytes: int) -> str:
    """Head and tail of a clean text within `max_bytes` of UTF-8, a gap mark between them."""
    if len(text) * 4 <= max_bytes:
        return text
    data = text.encode()
    if len(data) <= max_bytes:
        return text
    room = max(0, max_bytes - len(GAP))
    head, tail = room - room // 2, room // 2
    start = data[:head].decode(errors="ignore")
    end = data[len(data) - tail :].decode(errors="ignore")
    return start + GAP + end


def join(ends: Cut) -> str:
    """One text of the two ends that were kept, before redaction.

    What straddles the cut (half a card number) no pattern would find: a margin on both sides goes.
    """
    return ends.head[:-CUT_MARGIN] + GAP + ends.tail[CUT_MARGIN:]
