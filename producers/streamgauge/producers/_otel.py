"""Ids of the active OpenTelemetry span, if the app uses OpenTelemetry; never imported here."""

from __future__ import annotations

import sys


def active_span() -> tuple[str, str] | None:
    """(trace_id, span_id) in hex, or None if there is no valid active span."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    try:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return format(context.trace_id, "032x"), format(context.span_id, "016x")
    except Exception:  # noqa: BLE001  # another library's fault is not the app's problem
        return None
