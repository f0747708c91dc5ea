"""What the growth benchmark says of a figure: real growth is missed, noise alone is not growth."""

from __future__ import annotations

import random

import pytest
from benchmarks.growth import hour
from benchmarks.growth.site import Look
from benchmarks.growth.slices import Options, Slice, State
from benchmarks.growth.trend import means, trend
from benchmarks.growth.verdict import judge, longest_life
from benchmarks.report import Figure

MILLION = 1_000_000
OVER = (1e6, 20e6)
OPTIONS = Options(None, 20 * MILLION, MILLION, 20)  # type: ignore[arg-type]  # no folder needed
COST = "worker and store, CPU an event, growth at most"
MEMORY = "memory of the worker, growth at most"


def noisy(level: float, *, growth: float = 0.0, noise: float = 0.0, seed: int = 1) -> list[float]:
    """A figure in 20 slices that grows by this share from the first to the last million."""
    rnd = random.Random(seed)
    return [
        level * (1 + growth * (number + 0.5) / 20) * (1 + rnd.gauss(0, noise))
        for number in range(20)
    ]


def middles() -> list[float]:
    return [1e6 + (number + 0.5) * 19e6 / 20 for number in range(20)]


# -- the line --------------------------------------------------------------------------------------


def test_a_known_line_is_found_and_its_bound_is_its_growth() -> None:
    found = trend(middles(), noisy(50, growth=0.2), over=OVER)
    assert found.level == pytest.approx(50)
    assert found.growth == pytest.approx(0.2)
    assert found.most == pytest.approx(0.2)


def test_the_bound_is_that_of_the_two_sided_95_percent_interval() -> None:
    # y = 10, 12, 11, 13 at 0..3: slope 0.8, standard error 0.4243, t(0.975, 2) = 4.3027
    found = trend([0, 1, 2, 3], [10, 12, 11, 13], over=(0, 3))
    assert found.level == pytest.approx(10.3)
    assert found.growth == pytest.approx(0.8 * 3 / 10.3)
    assert found.most == pytest.approx((0.8 + 4.3027 * 0.42426) * 3 / 10.3, rel=1e-4)


def test_a_line_over_a_part_is_drawn_out_over_the_whole() -> None:
    half = slice(0, 10)
    found = trend(middles()[half], noisy(50, growth=0.2)[half], over=OVER)
    assert found.most == pytest.approx(0.2)


@pytest.mark.parametrize("seed", range(20))
def test_more_noise_makes_the_bound_wider_never_narrower(seed: int) -> None:
    bounds = [
        trend(middles(), noisy(50, noise=noise, seed=seed), over=OVER)
        for noise in (0.01, 0.02, 0.04)
    ]
    margins = [found.most - found.growth for found in bounds]
    assert margins == sorted(margins)
    assert margins[0] > 0


def test_the_bound_is_above_a_true_growth_in_all_but_a_few_of_many_runs() -> None:
    runs = [
        trend(middles(), noisy(50, growth=0.1, noise=0.03, seed=seed), over=OVER).most
        for seed in range(400)
    ]
    assert sum(most < 0.1 for most in runs) / len(runs) < 0.06  # 2.5 % are meant to be


def test_what_has_no_line_is_refused() -> None:
    with pytest.raises(ValueError, match="2 points: expected at least 3"):
        trend([1, 2], [1, 2], over=OVER)
    with pytest.raises(ValueError, match="constant"):
        trend([1, 1, 1], [1, 2, 3], over=OVER)
    with pytest.raises(ValueError, match="begins at -1: expected more than 0"):
        trend([0, 1, 2], [-1, 0, 1], over=(0, 2))


def test_samples_become_means_of_equal_slices_within_the_range() -> None:
    at, level = [9.0, 10, 14, 15, 29, 30], [100.0, 1, 3, 5, 7, 100]
    assert means(at, level, over=(10, 30), slices=4) == ([12.5, 17.5, 27.5], [2, 5, 7])


# -- a log that grows ------------------------------------------------------------------------------


def ran(us: list[float], worker_mb: list[float], *, lives: tuple[int, ...] = (1,) * 21) -> State:
    """A whole run of a warm-up and 20 slices; the warm-up is dear and small."""

    def one(number: int, us: float, mb: float) -> Slice:
        begin = MILLION + (number - 1) * OPTIONS.each if number else 0
        events = OPTIONS.each if number else MILLION
        return Slice(
            lives[number], begin, events, 20.0, us / 2, us / 2, mb, 400.0, 30, 50.0, 2_000.0
        )

    pairs = zip([3 * us[0], *us], [worker_mb[0] / 2, *worker_mb], strict=True)
    whole = 20 * MILLION
    return State(
        OPTIONS.as_json(), [one(number, *pair) for number, pair in enumerate(pairs)],
        number=whole, lives=len(set(lives)), seconds=500.0, bare_us=[40.0, 42.0],
        peaks_mb=(300.0, 700.0), log=whole,
        counts=dict.fromkeys(("raw", "n10", "n60", "n3600"), whole),
    )  # fmt: skip


def missed(figures: dict[str, Figure]) -> set[str]:
    return {name for name, figure in figures.items() if not figure.reaches(figure.bar)}


def test_flat_noise_is_not_judged_as_growth() -> None:
    figures = judge([ran(noisy(50, noise=0.02), noisy(280, noise=0.01, seed=2))], OPTIONS)
    assert missed(figures) == set()
    assert figures["worker and store, CPU an event, at the start"].value == pytest.approx(50, 0.05)
    assert figures["events through one worker process"].value == 20 * MILLION


def test_real_growth_of_cost_or_memory_is_missed() -> None:
    flat = noisy(50, noise=0.02)
    assert missed(judge([ran(noisy(50, growth=0.12, noise=0.01), flat)], OPTIONS)) == {COST}
    assert missed(judge([ran(flat, noisy(280, growth=0.12, noise=0.005))], OPTIONS)) == {MEMORY}


def test_growth_below_the_bar_is_missed_too_if_the_noise_cannot_rule_out_more() -> None:
    assert missed(judge([ran(noisy(50, noise=0.3), noisy(280))], OPTIONS)) == {COST}


def test_the_warm_up_is_the_origin_and_no_slice_of_the_line() -> None:
    figures = judge([ran(noisy(50), noisy(280))], OPTIONS)
    assert figures[COST].value == pytest.approx(0, abs=1e-6)
    assert figures["slices of a round"].value == 20


def test_a_lost_row_or_a_peak_over_the_bar_is_missed() -> None:
    state = ran(noisy(50), noisy(280))
    state.counts["n60"] -= 1
    state.peaks_mb = (401.0, 700.0)
    assert missed(judge([state], OPTIONS)) == {
        "rows and windows against it, differences", "memory of the worker, peak",
    }  # fmt: skip


def test_memory_is_judged_over_the_process_that_took_the_most() -> None:
    lives = (1,) * 7 + (2,) * 14
    small_at_first = [150.0] * 6 + [150.0] + [280.0] * 13  # the second process begins small again
    state = ran(noisy(50), small_at_first, lives=lives)
    assert [s.worker_mb for s in longest_life(state.slices)] == [280.0] * 13
    figures = judge([state], OPTIONS)
    assert missed(figures) == set()
    assert figures["events through one worker process"].value == 14 * OPTIONS.each


def test_rounds_are_judged_together_and_narrow_the_bound() -> None:
    rounds = [ran(noisy(50, noise=0.08, seed=seed), noisy(280)) for seed in range(5)]
    bounds = [
        abs(figures[COST].value - figures["the same as the line has it"].value)
        for figures in (judge(rounds[:1], OPTIONS), judge(rounds, OPTIONS))
    ]
    assert bounds[1] < 0.6 * bounds[0]
    rounds[3].peaks_mb, rounds[4].log = (500.0, 700.0), 20 * MILLION + 1
    figures = judge(rounds, OPTIONS)
    assert figures["memory of the worker, peak"].value == 500
    assert figures["rows and windows against it, differences"].value == 4
    assert figures["events in the log"].value == 20 * MILLION


def test_growth_is_told_beside_a_consumer_without_history() -> None:
    figures = judge([ran(noisy(50, growth=0.05), noisy(280))], OPTIONS)
    ratio = figures["growth, first to last slice, ours to its"].value
    assert ratio == pytest.approx((1 + 0.05 * 19.5 / 20) / (1 + 0.05 * 0.5 / 20) / 1.05)


# -- an hour by the clock --------------------------------------------------------------------------


def an_hour(mb: list[float], *, lost: int = 0) -> dict[str, Figure]:
    """Looks every 5 s at 2,000 events a second; mb: of the worker at each."""
    samples = [
        hour.Sample(Look(100.0 + at, at * 2_000, at * 2_000, m, 400.0, at * 0.1, at * 0.05), 700.0)
        for at, m in zip(range(5, 3_601, 5), mb, strict=True)
    ]
    sent = 3_600 * 2_000
    counts = dict.fromkeys(("raw", "n10", "n60", "n3600"), sent)
    counts["n10"] -= lost
    end = hour.End(sent, counts, (max(mb), 500.0), 0.1)
    return hour.judge(samples, end, began=100.0, seconds=3_600, rate=2_000)


def test_an_hour_that_is_flat_after_ten_minutes_is_flat() -> None:
    rnd = random.Random(3)
    mb = [
        min(200.0, 100 + at / 6) + rnd.gauss(0, 3) for at in range(5, 3_601, 5)
    ]  # grows for ten minutes
    figures = an_hour(mb)
    assert missed(figures) == set()
    assert figures["memory of the worker, after warm-up"].value == pytest.approx(200, 0.01)
    assert figures["worker, CPU an event"].value == pytest.approx(50)
    assert figures["worker and store, of a core"].value == pytest.approx(15)
    assert figures["age of the newest stored event, p99"].value == pytest.approx(0.7)


def test_an_hour_with_a_leak_or_a_lost_event_is_missed() -> None:
    leak = [200 + at / 150 for at in range(5, 3_601, 5)]  # 24 MB an hour, 12 %
    assert missed(an_hour(leak)) == {MEMORY}
    assert missed(an_hour([200.0] * 720, lost=1)) == {"rows and windows against them, differences"}
