"""The process that keeps a detached stack up: `python -m streamgauge.deploy.stack '<config>'`.

In: StackConfig as JSON; the environment for external services. Runs until SIGTERM or SIGINT, then
stops everything in order. Exit codes: 0 stopped when asked, else the error's.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from types import FrameType

from streamgauge.contracts.errors import StreamgaugeError
from streamgauge.deploy.stack.plan import StackConfig
from streamgauge.deploy.stack.stack import Stack

log = logging.getLogger("streamgauge.stack")


class _Asked(KeyboardInterrupt):
    """A signal asked us to end while we were starting."""


def main(argv: list[str]) -> int:
    """Start, wait for a signal, stop."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    config = StackConfig.from_json(json.loads(argv[0]))
    asked = threading.Event()
    starting = True

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        first = not asked.is_set()
        asked.set()
        if starting and first:  # a second one leaves alone what is being stopped
            raise _Asked

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    stack = Stack(config, progress=lambda line: log.info("%s", line))
    try:
        stack.start()
    except _Asked:
        return 0
    except StreamgaugeError as error:
        log.error("%s", error)
        return error.exit_code
    starting = False
    asked.wait()
    stack.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
