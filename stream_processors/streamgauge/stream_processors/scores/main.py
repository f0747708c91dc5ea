"""Entry point of the scores worker: `run()` works until SIGTERM and exits 0.

Environment: stream_processors/settings.py and scores/settings.py.
Misconfigured exits 2, Unreachable exits 3, each with one line on stderr.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping

from streamgauge.contracts.errors import StreamgaugeError
from streamgauge.contracts.topics import EVENTS
from streamgauge.stream_processors.core.worker import WorkerSpec, run_worker
from streamgauge.stream_processors.logs import set_up_logging
from streamgauge.stream_processors.process import end_process
from streamgauge.stream_processors.reading.read_back import read_back_from
from streamgauge.stream_processors.reading.recall import recall
from streamgauge.stream_processors.reading.requests import label_cap
from streamgauge.stream_processors.scores.cache import OutcomeCache
from streamgauge.stream_processors.scores.pipeline import Pipeline
from streamgauge.stream_processors.scores.processor import ScoreProcessor
from streamgauge.stream_processors.scores.registry import load_scorers
from streamgauge.stream_processors.scores.runner import Runner, ThreadRunner
from streamgauge.stream_processors.scores.settings import ScoreSettings
from streamgauge.stream_processors.scores.toxicity.slot import MissingScorer
from streamgauge.stream_processors.settings import WorkerSettings

log = logging.getLogger(__name__)


def build_pipeline(settings: ScoreSettings, env: Mapping[str, str], runner: Runner) -> Pipeline:
    """The scorers, as the environment wants them; says once which are missing."""
    scorers = load_scorers(settings, env)
    for scorer in scorers:
        if isinstance(scorer, MissingScorer):
            log.warning("scorer_missing", extra={"scorer": scorer.name, "reason": scorer.reason})
    return Pipeline(
        scorers,
        probability=settings.probability,
        cache=OutcomeCache(settings.cache_size),
        runner=runner,
    )


def _work(env: Mapping[str, str]) -> int:
    settings = WorkerSettings.from_env(env)
    scores = ScoreSettings.from_env(env)
    runner = ThreadRunner(scores.threads)
    try:
        processor = ScoreProcessor(build_pipeline(scores, env, runner), label_cap=label_cap(env))
        spec = WorkerSpec(processor, (EVENTS,), recall, read_back=read_back_from)
        return run_worker(spec, settings)
    finally:
        runner.close()


def run() -> None:
    """Run until SIGTERM, then exit 0."""
    try:
        set_up_logging("scores")
        code = _work(os.environ)
    except StreamgaugeError as e:
        sys.stderr.write(f"streamgauge scores: {e}\n")
        code = e.exit_code
    end_process(code)


if __name__ == "__main__":
    run()
