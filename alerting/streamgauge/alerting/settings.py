"""Settings of the alert engine, from the environment, once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamgauge.alerting.evaluation.policy import RUNBOOK_BASE
from streamgauge.alerting.rules.loader import DEFAULT_PACK
from streamgauge.contracts.environment import (
    ENV_RULES,
    ENV_RULES_KEPT,
    LIVE_LATENESS_S,
    ClockMode,
    clock_mode,
    lateness_s,
    number,
    process_name,
)
from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.pass_through import require_known
from streamgauge.storage.settings import StoreSettings

DAY_S = 86_400
MONTH_S = 30 * DAY_S


def runbook_base(env: Mapping[str, str] = os.environ) -> str:
    """STREAMGAUGE_RUNBOOK_BASE: what stands before a runbook's file name in an alert."""
    return env.get("STREAMGAUGE_RUNBOOK_BASE") or RUNBOOK_BASE


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Everything the engine needs to know.

    clock_mode: whether broker time may move the clock when nothing comes (live) or events alone
    (replay). lateness_s: how long an event is awaited. instance: name of this process within its
    group; two processes of one name fence each other. stall_s: how long a source may hold the
    clock. no_ticks_s: silence of the metrics worker that raises IngestStalled. max_catch_up_s: in
    mode live, how much of the past is evaluated after an outage. rules: a file or a folder.
    rules_kept: folder for copies of the rules in force; None: none are kept.
    """

    kafka: KafkaSettings
    store: StoreSettings
    rules: Path = DEFAULT_PACK
    rules_kept: Path | None = None
    clock_mode: ClockMode = "live"
    lateness_s: float = LIVE_LATENESS_S
    instance: str = "alerts-1"
    stall_s: float = 120.0
    no_ticks_s: float = 60.0
    max_catch_up_s: float = 3600.0
    runbook_base: str = RUNBOOK_BASE

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> AlertSettings:
        """Read the environment; Misconfigured names the variable that is wrong."""
        rules = Path(env.get(ENV_RULES) or DEFAULT_PACK)
        kept = env.get(ENV_RULES_KEPT)
        if not rules.exists() and not (kept and Path(kept).is_dir()):
            raise Misconfigured(
                f"{ENV_RULES}: {rules} does not exist", hint="name a rule file or a folder"
            )
        return cls(
            kafka=require_known(KafkaSettings.from_env(env)),
            store=StoreSettings.from_env(env),
            rules=rules,
            rules_kept=Path(kept) if kept else None,
            clock_mode=clock_mode(env),
            lateness_s=lateness_s(env),
            instance=process_name(env, "STREAMGAUGE_ALERTS_INSTANCE", "alerts-1"),
            stall_s=number(env, "STREAMGAUGE_ALERTS_STALL_S", 120.0, 0, DAY_S, float),
            no_ticks_s=number(env, "STREAMGAUGE_ALERTS_NO_TICKS_S", 60.0, 0, DAY_S, float),
            max_catch_up_s=number(env, "STREAMGAUGE_ALERTS_CATCH_UP_S", 3600.0, 0, MONTH_S, float),
            runbook_base=runbook_base(env),
        )
