"""The scores process: settings from the environment, scorers, the generic worker."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from streamgauge.contracts.topics import EVENTS
from streamgauge.stream_processors.scores.cache import OutcomeCache
from streamgauge.stream_processors.scores.pipeline import Pipeline
from streamgauge.stream_processors.scores.processor import ScoreProcessor
from streamgauge.stream_processors.scores.registry import load_scorers
from streamgauge.stream_processors.scores.runner import ThreadRunner
from streamgauge.stream_processors.scores.settings import ScoreSettings
from streamgauge.stream_processors.scores.toxicity.slot import MissingScorer
from streamgauge.stream_processors.settings import WorkerSettings
from streamgauge.stream_processors.worker import WorkerSpec, run_worker

log = logging.getLogger(__name__)


def run(env: Mapping[str, str] = os.environ) -> int:
    """Score until SIGTERM; the exit code. Raises Misconfigured or Unreachable at start."""
    settings = WorkerSettings.from_env(env)
    scores = ScoreSettings.from_env(env)
    scorers = load_scorers(scores, env)
    for scorer in scorers:
        if isinstance(scorer, MissingScorer):
            log.warning("scorer_missing", extra={"scorer": scorer.name, "reason": scorer.reason})
    runner = ThreadRunner(scores.threads)
    try:
        pipeline = Pipeline(
            scorers,
            probability=scores.probability,
            cache=OutcomeCache(scores.cache_size),
            runner=runner,
        )
        return run_worker(WorkerSpec(ScoreProcessor(pipeline), (EVENTS,)), settings)
    finally:
        runner.close()


if __name__ == "__main__":
    raise SystemExit(run())
