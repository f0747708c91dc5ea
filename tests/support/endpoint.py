"""What a worker answers on its own HTTP port."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from prometheus_client.parser import text_string_to_metric_families


def probe(port: int, path: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON of /healthz or /readyz; (0, {}) while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())
    except OSError:
        return 0, {}


def problems(port: int, path: str) -> dict[str, str]:
    """What is wrong, by name; empty if all is well. The status must say the same."""
    status, said = probe(port, path)
    if not status:
        return {"endpoint": "nobody listens"}
    found: dict[str, str] = said["problems"]
    assert (status, said["status"]) == ((503, "failing") if found else (200, "ok"))
    return found


def metric(port: int, name: str, **labels: str) -> float:
    """Sum of a metric over all series that have these labels; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except OSError:
        return 0.0
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
