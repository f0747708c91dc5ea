"""Arbitrary objects become plain bounded values without running their code; texts become clean."""

from __future__ import annotations

import enum
import sys
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamgauge.producers._text import GAP, clean, cut
from streamgauge.producers._values import MAX_ITEMS, PRECUT_CHARS, UNFIT, Cut, freeze, freeze_fields


class Model(enum.StrEnum):
    MINI = "gpt-4o-mini"


class Hostile:
    """Every way of touching it fails the test."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"the client touched {name}")

    def __str__(self) -> str:
        raise AssertionError("str")

    __repr__ = __bool__ = __len__ = __iter__ = __hash__ = __eq__ = __str__  # type: ignore[assignment]


class HostileText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError("str")

    __len__ = __getitem__ = encode = __str__  # type: ignore[assignment]


class HostileMap(dict[str, str]):
    def items(self) -> Any:
        raise AssertionError("items")

    __iter__ = keys = __getitem__ = __len__ = items  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Model.MINI, "gpt-4o-mini"),
        (np.float64(1.5), 1.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.array(2), 2),
        (np.array([1, 2]), UNFIT),
        (Decimal("2.5"), 2.5),
        (Fraction(1, 4), 0.25),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (10**30, UNFIT),
        (b"bytes", UNFIT),
        (object, UNFIT),
        (Hostile(), UNFIT),
        (HostileText("text"), "text"),
        (HostileMap(a="b"), {"a": "b"}),
        ([1, "a", Hostile(), {"x": Hostile()}], (1, "a", UNFIT, {"x": UNFIT})),
        (iter([1]), UNFIT),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_frozen_without_running_their_code(value: object, expected: object) -> None:
    frozen = freeze(value)
    assert frozen == expected
    assert type(frozen) is type(expected)


def test_a_huge_text_keeps_both_ends_and_its_length() -> None:
    frozen = freeze("a" * 100 + "b" * PRECUT_CHARS + "c" * 100)
    assert isinstance(frozen, Cut)
    assert (frozen.head[:2], frozen.tail[-2:]) == ("aa", "cc")
    assert frozen.chars == PRECUT_CHARS + 200
    assert len(frozen.head) + len(frozen.tail) == PRECUT_CHARS


def test_huge_collections_are_cut() -> None:
    assert len(freeze(list(range(10**6)))) == MAX_ITEMS  # type: ignore[arg-type]
    assert len(freeze({str(i): i for i in range(10**5)})) == MAX_ITEMS  # type: ignore[arg-type]


def test_endless_nesting_ends() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert freeze(loop) == (UNFIT,)


def test_the_weight_covers_the_text_that_is_kept_alive() -> None:
    text = "\u4e16" * 10_000
    assert freeze_fields({"input_text": text}) >= sys.getsizeof(text)


def test_what_the_app_changes_later_does_not_change_the_event() -> None:
    tags = {"zone": "eu"}
    fields: dict[str, Any] = {"tags": tags}
    freeze_fields(fields)
    tags["zone"] = "us"
    assert fields["tags"] == {"zone": "eu"}


@given(st.text(max_size=50))
def test_cleaning_keeps_every_valid_text(text: str) -> None:
    assert clean(text) == text.replace("\0", "\ufffd")


@given(st.text(alphabet=st.characters(categories=("Cs", "Lu", "Cc")), max_size=50))
def test_clean_text_can_always_be_encoded_and_has_no_nul(text: str) -> None:
    assert b"\0" not in clean(text).encode()


def test_surrogate_pairs_become_their_character_and_lone_ones_are_replaced() -> None:
    assert clean("\ud83d\ude00 \ud83d \udc00!") == "\U0001f600 \ufffd \ufffd!"


@given(st.text(max_size=300), st.integers(20, 200))
def test_a_cut_text_fits_and_keeps_head_and_tail(text: str, limit: int) -> None:
    text = clean(text)
    short = cut(text, limit)
    assert len(short.encode()) <= limit
    if short != text:
        head, tail = short.split(GAP)[0], short.split(GAP)[-1]
        assert text.startswith(head)
        assert text.endswith(tail)
        assert len(short.encode()) > limit - 8  # at most one character is lost on either side
