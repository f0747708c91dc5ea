"""The embedded store's process: `python -m streamgauge.storage.embedded --data DIR`.

Locks the data folder, makes the passwords, opens the engine, serves until SIGTERM or SIGINT, lets
running statements end, closes the engine. Ready when DIR/endpoint.json names this process.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import IO

from aiohttp import web

from streamgauge.contracts.errors import Misconfigured, StreamgaugeError
from streamgauge.storage.embedded.config import MIB, REMAKE_HINT, ServerConfig
from streamgauge.storage.embedded.engine import Engine
from streamgauge.storage.embedded.policy import READER, WRITER, Accounts
from streamgauge.storage.embedded.server import Server
from streamgauge.storage.settings import read_password

ENDPOINT = "endpoint.json"
PASSWORD_FILES = {WRITER: "password", READER: "reader-password"}


def lock_folder(data: Path) -> IO[str]:
    """Own the folder; Misconfigured if another process does. Keep the result open."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (data / "lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        raise Misconfigured(
            f"data folder {data} is in use by process {owner}",
            hint="stop it, or choose another folder",
        ) from None
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def passwords(data: Path) -> dict[str, str]:
    """Passwords of the accounts, made on the first start; readable by the owner only."""
    found = {}
    for account, name in PASSWORD_FILES.items():
        path = data / name
        if not path.exists():
            part = path.with_suffix(".part")
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                out.write(secrets.token_urlsafe(24) + "\n")
            part.rename(path)
        found[account] = read_password(path, hint=REMAKE_HINT)
    return found


def _announce(config: ServerConfig, port: int, version: str) -> None:
    path = config.data / ENDPOINT
    part = path.with_suffix(".part")
    part.write_text(
        json.dumps(
            {"pid": os.getpid(), "host": config.host, "port": port, "engine": version},
        ),
        encoding="utf-8",
    )
    part.rename(path)


async def _serve(config: ServerConfig, engine: Engine) -> None:
    server = Server(config, engine, Accounts(config, passwords(config.data)))
    runner = web.AppRunner(
        server.application(),
        auto_decompress=False,  # bodies are unpacked within a limit, by us
        access_log=None,
        shutdown_timeout=config.shutdown_s,
        max_line_size=1 * MIB,
        max_field_size=1 * MIB,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, config.host, config.port)
        await site.start()
    except OSError as error:
        raise Misconfigured(
            f"cannot listen on {config.host}:{config.port}: {error.strerror}",
            hint="choose another port; 0 takes a free one",
        ) from error
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    port = runner.addresses[0][1]
    _announce(config, port, engine.version)
    names = " and ".join(f"{name} ({file})" for name, file in PASSWORD_FILES.items())
    print(
        f"streamgauge store: http://{config.host}:{port}, accounts {names} with their passwords"
        f" in {config.data}; ends on Ctrl-C",
        file=sys.stderr, flush=True,
    )  # fmt: skip
    while not stop.is_set():
        try:
            async with asyncio.timeout(1):
                await stop.wait()
        except TimeoutError:
            if config.parent_pid is not None and os.getppid() != config.parent_pid:
                break
    (config.data / ENDPOINT).unlink(missing_ok=True)
    await runner.cleanup()


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; exit code of the process."""
    parser = argparse.ArgumentParser(
        prog="python -m streamgauge.storage.embedded",
        description="ClickHouse's engine behind its HTTP interface, on loopback.",
    )
    parser.add_argument("--data", type=Path, required=True, help="data folder; made if absent")
    parser.add_argument("--port", type=int, default=0, help="0: a free one (default)")
    parser.add_argument("--memory-mb", type=int, default=2048, help="limit of the engine")
    parser.add_argument("--reserve-mb", type=int, default=512, help="of the disk that stay free")
    parser.add_argument("--no-fsync", action="store_true", help="faster; loses on power failure")
    parser.add_argument("--body-limit-mb", type=int, default=256)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--parent-pid", type=int, help="end when this parent is gone")
    args = parser.parse_args(argv)
    config = ServerConfig(
        data=args.data.resolve(),
        port=args.port,
        server_memory=args.memory_mb * MIB,
        query_memory=args.memory_mb * MIB // 2,
        reserve=args.reserve_mb * MIB,
        fsync=not args.no_fsync,
        body_limit=args.body_limit_mb * MIB,
        threads=args.threads,
        parent_pid=args.parent_pid,
    )
    try:
        lock = lock_folder(config.data)
        engine = Engine(config)
        asyncio.run(_serve(config, engine))
        engine.close()
        lock.close()
    except StreamgaugeError as error:
        print(f"streamgauge store: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the engine's threads need no teardown: everything is on disk
