"""What the demo draws: plots that say what their axes are, and fit a terminal of 80 columns."""

from __future__ import annotations

import pytest

from streamgauge.deploy.demo.report import Plot, draw


def plot(values: list[float], marks: list[int] | None = None) -> list[str]:
    return draw(Plot("search: USD a minute", range(len(values)), values, marks or [])).splitlines()


def test_plot_says_its_unit_on_both_axes_and_how_to_read_the_lines() -> None:
    lines = plot([float(m) for m in range(62)], [20, 35])
    assert lines[0].strip() == "search: USD a minute"
    assert lines[-1].strip() == "minutes of event time; the lines are the incident's begin and end"
    assert lines[-2].split() == ["0", "10", "20", "30", "40", "50", "60"]
    labels = [line.split("┤")[0].strip() for line in lines if "┤" in line]
    assert labels == ["61", "30.5", "0"]
    assert lines[1].count("┬") == 2  # both ends of the incident


@pytest.mark.parametrize(
    ("values", "labels"),
    [([0.0] * 30, ["0"]), ([0.0, 12_000.0], ["12,000", "6,000", "0"])],
)
def test_plot_of_zeros_and_of_large_values_fits(values: list[float], labels: list[str]) -> None:
    lines = plot(values)
    assert [line.split("┤")[0].strip() for line in lines if "┤" in line] == labels
    assert all(len(line) <= 80 for line in lines)
