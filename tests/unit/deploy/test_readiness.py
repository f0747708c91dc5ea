"""status believes what a worker says of itself, not that its process runs."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from streamgauge.deploy.ports import free_ports
from streamgauge.deploy.processes import Pid
from streamgauge.deploy.stack.state import ProcessState
from streamgauge.deploy.status.collect import judge
from streamgauge.deploy.status.explain import explain
from streamgauge.deploy.status.model import ProcessRow, Snapshot
from streamgauge.deploy.status.readiness import unready
from streamgauge.stream_processors.core import endpoint
from streamgauge.stream_processors.core.health import Vitals


def test_a_worker_is_asked_what_it_lacks() -> None:
    (port,) = free_ports(1)
    vitals = Vitals(time.monotonic)
    endpoint.serve("127.0.0.1", port, vitals, {"writer": "metrics", "instance": "one"})
    assert unready(port).startswith("positions: not known yet; ")
    vitals.found("positions")
    vitals.found("kafka")
    vitals.missing("store", "no store answers at http://x:1")
    assert unready(port) == "store: no store answers at http://x:1"
    vitals.found("store")
    assert unready(port) == ""


def test_an_endpoint_that_is_not_there_or_not_ours_is_said() -> None:
    (port,) = free_ports(1)
    assert f"port {port} does not answer" in unready(port)

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

    server = HTTPServer(("127.0.0.1", 0), Other)
    thread = Thread(target=server.handle_request)
    thread.start()
    assert unready(server.server_port) == "its endpoint answers something else"
    thread.join(10)
    server.server_close()


def test_a_worker_that_runs_and_is_not_ready_is_explained_and_not_ok() -> None:
    me = Pid.of(os.getpid())
    assert me is not None
    runs = ProcessState("metrics", "up", me.as_json())
    assert judge(runs, answers=None) == ("up", "")
    assert judge(runs, answers=None, lacks="store: away") == ("not ready", "store: away")
    assert judge(replace(runs, state="restarting"), answers=None, lacks="x")[0] == "restarting"
    row = ProcessRow("metrics", "not ready", me.pid, 0.1, 1, 1.0, 0, "store: away")
    seen = Snapshot("/data", "up", processes=(row,), toxicity_weights=True, free_bytes=2**40)
    assert "metrics is not ready: store: away" in explain(seen)
    assert not seen.ok
