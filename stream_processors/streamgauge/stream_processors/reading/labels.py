"""Label caps: how many values of a label a tenant may have in windows before they share one cell.

A hostile or careless label (a model name per request) must neither blow up memory nor the store,
and no count may be lost: values beyond the cap become OTHER. Tenants are made up as easily, so all
values together have a bound, too. Who was admitted is kept in the table `label_values`, stored
before the windows that use it, so that a restart decides alike. Each worker has LabelCaps of its
own, filled from there when it takes partitions over: until then each of several may admit as many.
In: label columns of a flush as codes. Out: the same with OTHER; newly admitted values.
Not here: raw events, which keep the true value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

OTHER = "__other__"
CAP = 1_000
MAP_CAP = 100
MOST_BYTES = 64 * 1024 * 1024
"""Of all admitted values together: 370,000 of twenty characters."""

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Coded:
    """A string column as codes into its distinct values, in order of first appearance."""

    codes: Codes
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Admission:
    """A value that was admitted now. row: index of the first event that has it."""

    tenant: str
    label: str
    value: str
    row: int


@dataclass(slots=True)
class LabelCaps:
    """Admitted values by (tenant, label). caps: a label's cap where it is not `cap`."""

    cap: int = CAP
    caps: Mapping[str, int] = field(default_factory=dict)
    most_bytes: int = MOST_BYTES
    admitted: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    bytes: int = 0

    def know(self, tenant: str, label: str, value: str) -> None:
        """A value that the store says was admitted before."""
        self._add(self.admitted.setdefault((tenant, label), set()), value)

    def admit(self, tenant: str, label: str, value: str) -> bool:
        """Whether the value may stand for itself from now on; True if it was admitted before."""
        known = self.admitted.get((tenant, label), set())
        if value in known:
            return True
        if len(known) >= self.caps.get(label, self.cap) or self.bytes >= self.most_bytes:
            return False
        self._add(self.admitted.setdefault((tenant, label), set()), value)
        return True

    def _add(self, known: set[str], value: str) -> None:
        if value not in known:
            known.add(value)
            self.bytes += 100 + 4 * len(value)  # what a string of Python takes at most

    def apply(self, label: str, column: Coded, tenant: Coded) -> tuple[Coded, list[Admission]]:
        """The column with values beyond the cap as OTHER, and what was admitted now.

        The empty value (unknown) and OTHER itself need no admission.
        """
        if len(tenant.values) == 1:
            pairs = np.arange(len(column.values), dtype=np.int64)
            of_row = column.codes
        else:
            combined = tenant.codes * len(column.values) + column.codes
            pairs, of_row = np.unique(combined, return_inverse=True)
        refused, new = self._judge(label, column, tenant.values, pairs, of_row)
        if not refused.any():
            return column, new
        other = len(column.values)
        codes = np.where(refused[of_row], other, column.codes)
        return Coded(codes, (*column.values, OTHER)), new

    def _judge(
        self,
        label: str,
        column: Coded,
        tenants: Sequence[str],
        pairs: Codes,
        of_row: Codes,
    ) -> tuple[NDArray[np.bool_], list[Admission]]:
        refused = np.zeros(len(pairs), dtype=bool)
        unknown = []
        width = len(column.values)
        for i, pair in enumerate(pairs.tolist()):
            value = column.values[pair % width]
            known = self.admitted.get((tenants[pair // width], label), ())
            if value and value != OTHER and value not in known:
                unknown.append((i, tenants[pair // width], value))
        if not unknown:
            return refused, []
        first_row = np.full(len(pairs), len(of_row), dtype=np.int64)
        np.minimum.at(first_row, of_row, np.arange(len(of_row)))
        new = []
        for i, tenant, value in sorted(unknown, key=lambda u: int(first_row[u[0]])):
            if self.admit(tenant, label, value):
                new.append(Admission(tenant, label, value, int(first_row[i])))
            else:
                refused[i] = True
        return refused, new
