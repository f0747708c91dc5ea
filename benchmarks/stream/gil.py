"""How long the build of a flush keeps Python's lock, the GIL, from other threads.

A worker fetches and decodes in one thread while another makes the rows of a flush. Here a thread
sleeps 1 ms, again and again, beside such builds: what it slept longer, it waited.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles

from benchmarks.load import SPACING_MS, T0_MS, events
from benchmarks.report import Figure
from streamgauge.stream_processors.core.chunks import Chunk
from streamgauge.stream_processors.metrics.cut import MetricsCut
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.metrics.processor import MetricsProcessor

FLUSH_EVENTS = 16_384  # a worker's default
RUN_EVENTS = 1_024
SLEEP_S = 0.001
BUILDS = 20


def sleeps_ms(work: Callable[[], object]) -> list[float]:
    """From one wake to the next of a thread that sleeps 1 ms, beside the work in another thread."""
    took: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        woke, done = time.perf_counter(), False
        running = pool.submit(work)
        while not done:
            done = running.done()
            time.sleep(SLEEP_S)
            before, woke = woke, time.perf_counter()
            took.append((woke - before) * 1_000)
        running.result()
    return took


def beside_builds(builds: int = BUILDS) -> dict[str, Figure]:
    """Sleeps beside so many builds of full flushes, each of the same events; one is warm-up."""
    processor = MetricsProcessor(PriceBook())
    values = [value for _, value in events(FLUSH_EVENTS, partitions=1)]
    _absorbed(processor, values).build()
    took: list[float] = []
    for _ in range(builds):
        took += sleeps_ms(_absorbed(processor, values).build)
    p99, name = quantiles(took, n=100, method="inclusive")[98], "1 ms of sleep beside a build, "
    return {
        name + "p99": Figure(p99, "ms", bar=10, better="lower"),
        name + "most": Figure(max(took), "ms", better="lower"),
    }


def _absorbed(processor: MetricsProcessor, values: list[bytes]) -> MetricsCut:
    processor.reset()  # else they were repeats
    append_ms = T0_MS + len(values) * SPACING_MS
    for low in range(0, len(values), RUN_EVENTS):
        run = values[low : low + RUN_EVENTS]
        offsets = list(range(low, low + len(run)))
        processor.absorb(
            Chunk(
                "load@gil", 0, low, low + len(run), offsets, run, [append_ms] * len(run),
                frozenset(processor.tables),
            )
        )  # fmt: skip
    return processor.cut(now_ms=append_ms)
