"""The command line: `streamgauge <noun> <verb>`.

Answers go to stdout, everything else to stderr. Exit codes: 0 ok, 1 the thing checked is bad,
2 wrong usage or setting, 3 a service cannot be reached. An error is one line and a hint; with
`--debug` a traceback follows. One module per noun; each is imported only when it is called.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

MISSING = (
    "error: the streamgauge command line needs the server packages "
    "({name} is missing): pip install 'streamgauge[server]'\n"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. argv: without the program's name; sys.argv by default."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        import click  # noqa: F401
        import platformdirs  # noqa: F401
        import psutil  # noqa: F401
        import rich  # noqa: F401
    except ImportError as error:
        sys.stderr.write(MISSING.format(name=error.name))
        return 2
    from streamgauge.deploy.cli.root import run

    return run(args)
