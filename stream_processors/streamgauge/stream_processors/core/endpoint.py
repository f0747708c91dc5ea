"""The HTTP endpoint of a worker: /metrics for Prometheus, /healthz and /readyz for supervisors.

Each answers from a thread of its own, so a loop that hangs is told, not waited for. 200 or 503 with
a JSON object: {"status": "ok" | "failing", "writer", "instance", "problems": {what: why}}.
In: an address, what to answer. Out: threads that serve. Not here: what is wrong (health.py), the
metrics (telemetry.py).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from streamgauge.contracts.errors import Misconfigured
from streamgauge.stream_processors import telemetry
from streamgauge.stream_processors.core.health import Vitals

IDLE_S = 10.0
"""A client that says nothing for so long is cut off."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = IDLE_S

    def log_message(self, format: str, *args: Any) -> None:  # its name there
        """A probe a second is no news."""


def serve(host: str, port: int, vitals: Vitals, about: Mapping[str, str]) -> None:
    """Serve on this address; port 0 = off. Raises Misconfigured if it cannot be had.

    about: `writer` and `instance`, told with each answer.
    """
    if not port:
        return
    routes = {"/healthz": vitals.sick, "/readyz": vitals.unready}
    metrics = telemetry.wsgi_app()

    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        look = routes.get(environ.get("PATH_INFO", ""))
        if look is None:
            found: Iterable[bytes] = metrics(environ, start)
            return found
        return _answer(look, about, start)

    try:
        server = make_server(host, port, app, _Server, _Quiet)
    except OSError as e:
        raise Misconfigured(
            f"no Prometheus metrics on {host}:{port}: {e.strerror or e}",
            hint="another STREAMGAUGE_METRICS_PORT, or 0",
        ) from e
    threading.Thread(target=server.serve_forever, name="endpoint", daemon=True).start()


def _answer(
    look: Callable[[], Mapping[str, str]], about: Mapping[str, str], start: StartResponse
) -> list[bytes]:
    problems = dict(look())
    word, status = ("failing", "503 Service Unavailable") if problems else ("ok", "200 OK")
    body = json.dumps({"status": word, **about, "problems": problems}).encode() + b"\n"
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
