"""Label caps: no tenant can blow up the windows, and no restart changes who was admitted."""

from __future__ import annotations

import numpy as np

from streamgauge.stream_processors.reading.labels import OTHER, Coded, LabelCaps


def coded(*values: str) -> Coded:
    distinct = tuple(dict.fromkeys(values))
    return Coded(np.array([distinct.index(v) for v in values], dtype=np.int64), distinct)


def decoded(column: Coded) -> list[str]:
    return [column.values[i] for i in column.codes]


def one_tenant(n: int) -> Coded:
    return coded(*["t"] * n)


def test_values_beyond_the_cap_become_other_in_order_of_appearance() -> None:
    caps = LabelCaps(cap=2)
    column, new = caps.apply("model", coded("b", "c", "a", "b", "a"), one_tenant(5))
    assert decoded(column) == ["b", "c", OTHER, "b", OTHER]
    assert [(a.tenant, a.label, a.value, a.row) for a in new] == [
        ("t", "model", "b", 0),
        ("t", "model", "c", 1),
    ]


def test_who_was_admitted_before_stays_admitted() -> None:
    caps = LabelCaps(cap=2)
    caps.know("t", "model", "z")
    column, new = caps.apply("model", coded("a", "b", "z"), one_tenant(3))
    assert decoded(column) == ["a", OTHER, "z"]
    assert [a.value for a in new] == ["a"]
    again, none = caps.apply("model", coded("b", "a", "z"), one_tenant(3))
    assert decoded(again) == [OTHER, "a", "z"]
    assert none == []


def test_two_workers_admit_as_many_as_the_cap_each_and_one_that_knows_both_admits_none() -> None:
    one, two = LabelCaps(cap=2), LabelCaps(cap=2)
    _, admitted = one.apply("model", coded("a", "b", "c"), one_tenant(3))
    _, by_the_other = two.apply("model", coded("x", "y", "z"), one_tenant(3))
    heir = LabelCaps(cap=2)
    for a in (*admitted, *by_the_other):
        heir.know(a.tenant, a.label, a.value)
    column, new = heir.apply("model", coded("a", "y", "c", "z", "d"), one_tenant(5))
    assert decoded(column) == ["a", "y", OTHER, OTHER, OTHER]
    assert new == []


def test_each_tenant_and_label_has_its_own_cap() -> None:
    caps = LabelCaps(cap=1)
    tenants = coded("t", "u", "t", "u")
    column, new = caps.apply("model", coded("a", "a", "b", "c"), tenants)
    assert decoded(column) == ["a", "a", OTHER, OTHER]
    assert {(a.tenant, a.value) for a in new} == {("t", "a"), ("u", "a")}
    column, _ = caps.apply("app", coded("x", "y", "x", "y"), tenants)
    assert decoded(column) == ["x", "y", "x", "y"]


def test_unknown_needs_no_admission_and_a_label_may_have_a_cap_of_its_own() -> None:
    caps = LabelCaps(cap=5, caps={"error_types": 1})
    column, new = caps.apply("error_types", coded("", "a", "b", OTHER), one_tenant(4))
    assert decoded(column) == ["", "a", OTHER, OTHER]
    assert len(new) == 1


def test_all_tenants_together_have_a_bound_and_a_restart_decides_alike() -> None:
    caps = LabelCaps(cap=10, most_bytes=3 * 104)  # three values of one character
    tenants = coded("t", "u", "v", "w", "t")
    column, new = caps.apply("model", coded("a", "b", "c", "d", "a"), tenants)
    assert decoded(column) == ["a", "b", "c", OTHER, "a"]
    again = LabelCaps(cap=10, most_bytes=3 * 104)
    for admission in [*new, *new]:  # a value may be stored twice
        again.know(admission.tenant, admission.label, admission.value)
    assert again.bytes == caps.bytes
    assert decoded(again.apply("model", coded("c", "a", "d"), coded("v", "t", "w"))[0]) == (
        ["c", "a", OTHER]
    )


def test_a_tenant_that_is_refused_everywhere_costs_no_memory() -> None:
    caps = LabelCaps(cap=10, most_bytes=1)
    caps.know("t", "model", "a")
    for i in range(100):
        caps.apply("model", coded("a"), coded(f"made-up-{i}"))
    assert list(caps.admitted) == [("t", "model")]
