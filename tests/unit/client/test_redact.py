"""Built-in redaction: what it finds, what it must leave alone, and that it stays linear."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamgauge.producers._redact import luhn, redact

# Card numbers are the payment networks' published test numbers; IBANs are the registry's examples.
FOUND = [
    ("write to jane.roe+shop@mail.example.com today", "write to [EMAIL] today"),
    ("O'Neil: o'neil@example.ie", "O'Neil: [EMAIL]"),
    ("jürgen@müller.de!", "[EMAIL]!"),
    ("card 4111 1111 1111 1111 exp 12/29", "card [CARD] exp 12/29"),
    ("5555-5555-5555-4444", "[CARD]"),
    ("378282246310005,", "[CARD],"),
    ("order 5 4111 1111 1111 1111 paid", "order 5 [CARD] paid"),
    ("4111 1111 1111 1111 4111111111111111", "[CARD] [CARD]"),
    ("DE89 3704 0044 0532 0130 00 please", "[IBAN] please"),
    ("GB29NWBK60161331926819", "[IBAN]"),
    ("IBAN FR14 2004 1010 0505 0001 3M02 606 AND MORE", "IBAN [IBAN] AND MORE"),
    ("key sk-proj-abc123DEF456ghi789jkl", "key [KEY]"),
    ("AKIAIOSFODNN7EXAMPLE is used", "[KEY] is used"),
    ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[KEY]"),
    ("Authorization: Bearer abcdef0123456789ABCDEF", "Authorization: Bearer [KEY]"),
    ('{"api_key": "0123456789abcdef"}', '{"api_key": "[KEY]"}'),
    ("password=hunter2hunter2", "password=[KEY]"),
    (
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        "[KEY]",
    ),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- x", "[KEY] x"),
    ("-----BEGIN PRIVATE KEY-----\ncut off here", "[KEY]"),
    ("from 192.168.10.254.", "from [IP]."),
    ("from 2001:db8::8a2e:370:7334 on", "from [IP] on"),
    ("call +49 (30) 901820 now", "call [PHONE] now"),
    ("call +1-415-555-2671", "call [PHONE]"),
    ("(555) 123-4567", "[PHONE]"),
    ("555-123-4567 or 030 1234567", "[PHONE] or [PHONE]"),
    ("020 7946 0958", "[PHONE]"),
]
KEPT = [
    "",
    "Nothing personal in here, only words.",
    "The year 2024 had 366 days; 1,234,567.89 EUR; 3.14159",
    "on 2024-01-15 at 12:30:45.123 UTC",
    "order 4111 1111 1111 1112",  # Luhn fails
    "tracking 1234567890123456",  # begins with 1: no card network
    "version 3.11.7 of the library",
    "std::vector<int> a::b; ratio 16:9",
    "DE00 3704 1044 1532 1130 11",  # mod 97 fails
    "scikit: sk-learn-is-a-fine-name-for-a-package",
    "@decorator and a @ b",
    "task-1234 of 5678",
]


@pytest.mark.parametrize(("text", "expected"), FOUND, ids=[e for _, e in FOUND])
def test_personal_data_is_replaced_by_its_kind(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize("text", KEPT)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(("text", "expected"), FOUND, ids=[e for _, e in FOUND])
def test_redacting_twice_changes_nothing_more(text: str, expected: str) -> None:
    assert redact(redact(text)) == expected


@given(st.text())
def test_any_text_can_be_redacted(text: str) -> None:
    assert isinstance(redact(text), str)


@given(st.from_regex(r"[a-z]{1,8}\.[a-z]{1,8}@[a-z]{2,8}\.(com|org|de)", fullmatch=True))
def test_every_plain_address_in_prose_is_found(address: str) -> None:
    assert address not in redact(f"Please answer to {address}, thank you.")


@given(st.text(alphabet="0123456789", min_size=12, max_size=18).map(lambda s: "4" + s))
def test_a_number_is_a_card_exactly_if_luhn_holds(digits: str) -> None:
    assert (redact(digits) == "[CARD]") == luhn(digits)


@pytest.mark.parametrize(
    "unit",
    [
        "a", "1", "1 ", "1-", "a@", "a.", "@a.", ":", "1:", "A1 ", "+1 ", "0 ", "eyJ", "sk-a",
        "password=", "[", "\u00e9", "A", "DE89 ", "-----BEGIN PRIVATE KEY", "bearer ",
    ],
)  # fmt: skip
def test_hostile_runs_take_linear_time(unit: str) -> None:
    """64 KiB is the most that the client hands over; quadratic patterns would take minutes."""
    text = (unit * 65_536)[:65_536]
    start = time.process_time()
    redact(text)
    assert time.process_time() - start < 2.0
