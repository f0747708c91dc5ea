"""Free TCP ports of this machine, and what to say when a port is taken."""

from __future__ import annotations

import contextlib
import socket

from streamgauge.contracts.errors import Misconfigured

HOST = "127.0.0.1"


def is_free(port: int, host: str = HOST) -> bool:
    """True if this process could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_ports(count: int, host: str = HOST) -> list[int]:
    """Ports that nobody listens on, all different."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            probe.bind((host, 0))
            found.append(int(probe.getsockname()[1]))
        return found


def require_free(port: int, *, what: str, option: str, host: str = HOST) -> None:
    """Misconfigured if the port is none or taken; `option` is how the user names another one."""
    if not 1 <= port <= 65535:
        raise Misconfigured(f"port {port} for {what}: no such port", hint=f"{option} 1 to 65535")
    if not is_free(port, host):
        raise Misconfigured(
            f"port {port} for {what} is taken by another process",
            hint=f"stop it, or choose another one with {option}",
        )


def accepts(port: int, host: str = HOST, *, timeout_s: float = 0.3) -> bool:
    """True if something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False
