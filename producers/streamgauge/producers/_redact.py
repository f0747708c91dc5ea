"""Built-in redaction: e-mail, telephone, card, IBAN, API key and IP address become [KIND].

In: any text. Out: the text with each find replaced; what stays is what an analyst needs for
toxicity and drift. Cards need Luhn's check, IBANs mod 97, IPv6 the system's parser, so plain
numbers survive. Patterns are linear: bounded repeats, a run of characters is entered at its start.
It is a safety net by pattern, no proof that no personal data is left: names and addresses stay.
Runs in the worker thread, after the app's own mask callback.
"""

from __future__ import annotations

import re
import socket
from typing import Final

EMAIL: Final = "[EMAIL]"
PHONE: Final = "[PHONE]"
CARD: Final = "[CARD]"
IBAN: Final = "[IBAN]"
KEY: Final = "[KEY]"
IP: Final = "[IP]"

_PEM = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_KEY = re.compile(
    r"""(?<![A-Za-z0-9])(?:
      (?:sk|pk|rk)[-_](?=[A-Za-z_-]{0,200}[0-9])[A-Za-z0-9_-]{16,}   # OpenAI, Anthropic, Stripe
    | A[KS]IA[0-9A-Z]{16}                                            # AWS
    | gh[pousr]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,} | glpat-[A-Za-z0-9_-]{16,}
    | xox[abeprs]-[A-Za-z0-9-]{10,} | AIza[A-Za-z0-9_-]{30,} | hf_[A-Za-z0-9]{20,}
    | eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*        # JWT
    )""",
    re.VERBOSE,
)
_NAMED_SECRET = re.compile(
    r"""((?:\bbearer[ ]+ | \b(?:api[_-]?key|secret(?:[_-]?key)?|access[_-]?token|password|passwd)
      ["']?\s{0,3}[:=]\s{0,3}["']?))([^\s"',;]{8,})""",
    re.VERBOSE | re.IGNORECASE,
)
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])")
_DIGIT = re.compile(r"[0-9]")
_DIGITS = re.compile(r"[0-9](?:[ -]?[0-9]){12,}")
_GROUP = re.compile(r"[0-9]+")
_IPV4 = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})(?!\.?[0-9])")
_IPV6 = re.compile(r"(?<![\w:.])(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{2,39}(?![\w:])")
_PHONE_RUN = re.compile(r"[+(0-9][0-9 ().\-/]{6,}")
_PHONE = re.compile(
    r"""(?<![\w.+-])(?:
      (?:\+|00)[1-9](?:[ ().\-/]{0,2}[0-9]){6,14}                            # international
    | (?:\([0-9]{3}\)[ ]?|[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4}                # (555) 123-4567
    | \(?0[0-9]{1,4}\)?[ /-](?=(?:[ -]?[0-9]){6})[0-9]{3,9}(?:[ -][0-9]{2,8}){0,3}  # 030 1234567
    )(?![0-9A-Za-z])""",
    re.VERBOSE,
)
# A pattern that begins with a character class is skipped through fast; one that begins with a
# look-behind or an alternation is tried at every character. So cheap tests stand before the latter.
_KEY_WORDS: Final = (
    "sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_",
    "ghr_", "github_pat_", "glpat-", "xox", "AIza", "hf_", "eyJ",
)  # fmt: skip
_SECRET_WORDS: Final = ("bearer ", "api", "secret", "token", "passw")


def redact(text: str) -> str:
    """The text without what the built-in patterns know."""
    if "-----BEGIN" in text:
        text = _PEM.sub(KEY, text)
    if any(word in text for word in _KEY_WORDS):
        text = _KEY.sub(KEY, text)
    lower = text.lower()
    if any(word in lower for word in _SECRET_WORDS):
        text = _NAMED_SECRET.sub(_named_secret, text)
    if "@" in text:
        text = _EMAIL.sub(EMAIL, text)
    if not _DIGIT.search(text):
        return text
    text = _IBAN.sub(_iban, text)
    text = _DIGITS.sub(_cards, text)
    if text.count(":") > 1:
        text = _IPV6.sub(_ipv6, text)
    if text.count(".") > 2:
        text = _IPV4.sub(_ipv4, text)
    return _PHONE_RUN.sub(_phones, text)


def _inside(match: re.Match[str], neighbours: str) -> bool:
    """Whether the match goes on to the left: it is the rest of something longer."""
    before = match.string[match.start() - 1 : match.start()] if match.start() else ""
    return before != "" and (before.isalnum() or before in neighbours)


def _phones(match: re.Match[str]) -> str:
    """Numbers in a run of digits and separators, with its neighbours in view."""
    start, end = match.span()
    before = match.string[max(0, start - 1) : start]
    after = match.string[end : end + 1]
    found = _PHONE.sub(PHONE, before + match[0] + after)
    return found[len(before) : len(found) - len(after)]


def _ipv4(match: re.Match[str]) -> str:
    octets = all(int(octet) < 256 for octet in match.groups())
    return IP if octets and not _inside(match, ".") else match[0]


def _named_secret(match: re.Match[str]) -> str:
    already = match[2].startswith("[") and match[2].endswith("]")
    return match[0] if already else match[1] + KEY


def _iban(match: re.Match[str]) -> str:
    """The longest beginning that passes mod 97: capitals that follow an IBAN are not part of it."""
    found = match[0]
    if _inside(match, ""):
        return found
    for end in range(len(found), 14, -1):
        compact = found[:end].replace(" ", "")
        if found[end - 1] != " " and 15 <= len(compact) <= 34 and _mod97(compact) == 1:
            return IBAN + found[end:]
    return found


def _mod97(iban: str) -> int:
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97


def _cards(match: re.Match[str]) -> str:
    """Replace runs of whole digit groups that are card numbers; other numbers around them stay."""
    run = match[0]
    groups = [(m.start(), m.end()) for m in _GROUP.finditer(run)]
    out: list[str] = []
    done = i = 0
    while i < len(groups):
        for j in range(min(len(groups), i + 6), i, -1):
            digits = "".join(run[a:b] for a, b in groups[i:j])
            if 13 <= len(digits) <= 19 and digits[0] in "23456" and luhn(digits):
                out += (run[done : groups[i][0]], CARD)
                done = groups[j - 1][1]
                i = j - 1
                break
        i += 1
    return "".join(out) + run[done:]


def luhn(digits: str) -> bool:
    """Luhn's check (ISO/IEC 7812-1, annex B) of a string of ASCII digits."""
    total = 0
    for i, c in enumerate(reversed(digits)):
        n = int(c) * (1 + i % 2)
        total += n - 9 if n > 9 else n
    return total % 10 == 0


def _ipv6(match: re.Match[str]) -> str:
    found = match[0]
    if not any(c.isdigit() for c in found):
        return found  # `a::b` is code far more often than an address
    try:
        socket.inet_pton(socket.AF_INET6, found)
    except OSError:
        return found
    return IP
