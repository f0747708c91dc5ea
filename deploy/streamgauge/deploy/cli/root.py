"""The root command and the one place where errors become a line and an exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback

import click

from streamgauge.contracts.errors import StreamgaugeError
from streamgauge.deploy.cli.base import CONTEXT_SETTINGS, LazyGroup
from streamgauge.deploy.paths import ENV_HOME

_HERE = "streamgauge.deploy.cli"
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": (f"{_HERE}.demo:demo", "Replay real traffic with planted incidents; print a verdict."),
    "up": (f"{_HERE}.stack:up", "Start the stack on this machine and leave it running."),
    "down": (f"{_HERE}.stack:down", "Stop the stack; --purge removes its data."),
    "status": (f"{_HERE}.status:status", "What runs, where, how fresh; what is not there yet."),
    "doctor": (f"{_HERE}.doctor:doctor", "What is wrong on this machine, and how to mend it."),
    "sql": (f"{_HERE}.sql:sql", "Ask ClickHouse, read-only."),
    "audit": (f"{_HERE}.audit:audit", "Compare offsets, raw rows, windows and clients' numbers."),
    "reprocess": (
        f"{_HERE}.reprocess:reprocess",
        "Rebuild windows of past hours.",
    ),
    "alerts": (f"{_HERE}.alerts:alerts", "List, follow and test alerts."),
    "rules": (f"{_HERE}.rules:rules", "Check alert rules."),
    "events": (f"{_HERE}.events:events", "Follow, send, replay and simulate events."),
    "topics": (f"{_HERE}.topics:topics", "Create and check the Kafka topics."),
    "store": (f"{_HERE}.store:store", "Migrate and check the ClickHouse schema."),
    "kafka": (f"{_HERE}.kafka:kafka", "A real Apache Kafka on this machine."),
    "contracts": (f"{_HERE}.contracts:contracts", "Show and export the wire's JSON Schemas."),
    "run": (f"{_HERE}.run:run", "Run one process of the stack in the foreground."),
}


def _root() -> LazyGroup:
    root = LazyGroup(
        "streamgauge",
        lazy=COMMANDS,
        context_settings=CONTEXT_SETTINGS,
        help=(
            "Streaming monitor for applications that call large language models.\n\n"
            "Answers go to stdout, messages to stderr. Exit codes: 0 ok, 1 the thing checked is "
            "bad, 2 wrong usage or setting, 3 a service cannot be reached."
        ),
        params=[
            click.Option(["--home"], help="Data folder; the same as STREAMGAUGE_HOME."),
            click.Option(
                ["--debug"], is_flag=True, help="Show a traceback with an error. Any position."
            ),
            click.Option(
                ["--version"], is_flag=True, is_eager=True, expose_value=False,
                callback=_version, help="Show the version.",
            ),
        ],
        callback=_use_home,
    )  # fmt: skip
    root.example = (
        "streamgauge up        # start everything on this machine\n"
        "streamgauge status    # what runs, where, how fresh\n"
        "streamgauge alerts tail"
    )
    return root


def _use_home(home: str | None, *, debug: bool) -> None:  # debug was taken out by `run`
    if home:
        os.environ[ENV_HOME] = home


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(version("streamgauge"))
        ctx.exit(0)


def run(args: list[str]) -> int:
    """Run a command line; its exit code. Nothing raised leaves this function."""
    debug = "--debug" in args
    args = [arg for arg in args if arg != "--debug"]
    # the driver tells on stderr what our one line says better
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
    logging.getLogger("clickhouse_connect").propagate = debug
    try:
        result = _root().main(args, prog_name="streamgauge", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(f"{error.format_message()}\n")  # the help itself, as it is laid out
        return 2
    except click.UsageError as error:
        where = f"see `{error.ctx.command_path} --help`" if error.ctx else ""
        return _complain(error.format_message().rstrip("."), where, 2, debug=debug)
    except click.ClickException as error:
        return _complain(error.format_message(), "", 2, debug=debug)
    except StreamgaugeError as error:
        return _complain(error.message, error.hint, error.exit_code, debug=debug)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("interrupted\n")
        return 130
    except BrokenPipeError:
        # the reader of our answers has gone (`| head`): nothing to complain about
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ImportError as error:
        name = error.name or ""
        if name.startswith("streamgauge."):
            return _complain(f"{name} is not in this installation", "", 2, debug=debug)
        return _complain(
            f"package {name!r} is missing", "pip install 'streamgauge[server]'", 2, debug=debug
        )
    except Exception as error:  # noqa: BLE001  # the rim: a bug becomes one line, too
        return _complain(
            f"{type(error).__name__}: {error}",
            "this is a bug in streamgauge; --debug shows where",
            1,
            debug=debug,
        )


def _complain(message: str, hint: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    line = " ".join(message.split())
    sys.stderr.write(f"error: {line}\n")
    if hint:
        sys.stderr.write(f"hint: {' '.join(hint.split())}\n")
    return code
