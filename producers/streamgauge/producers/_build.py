"""From what the app handed over to the event on the wire, bounded and private.

In: an Entry (kind, id, completion time, frozen fields, active span). Out: a dict ready to encode,
all but `seq`. A required field that is missing or unfit raises InvalidEventError (the event is
dropped, counted); any other unfit field is left out and counted in `problems`.
Runs in the worker thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from streamgauge.contracts.bounds import FUTURE_MS, TS_MIN_MS
from streamgauge.producers._fields import (
    ENVELOPE,
    FEEDBACK,
    OWN,
    REQUEST,
    REQUEST_TEXTS,
    Cleaner,
    UnfitError,
    label,
    tags,
)
from streamgauge.producers._privacy import MaskFailedError, Privacy
from streamgauge.producers._text import clean, cut
from streamgauge.producers._values import Cut

REQUEST_TYPE: Final = "llm.request"
FEEDBACK_TYPE: Final = "llm.feedback"
PROMPT_TYPE: Final = "llm.prompt"
STATS_TYPE: Final = "client.stats"
MAX_TEMPLATE_BYTES: Final = 32_768

Note = Callable[[str], None]


class Entry(NamedTuple):
    """One call of the API, as the caller's thread leaves it. span: (trace_id, span_id) or None."""

    type: str
    id: str
    ts_ms: int
    fields: dict[str, Any]
    span: tuple[str, str] | None


class InvalidEventError(Exception):
    """A required field is missing or unfit; the message names it."""


class Builder:
    """Builds the events of one client process.

    static: the envelope's constant part. base_tags: tags of every event. note: counts a problem.
    """

    def __init__(
        self,
        *,
        static: Mapping[str, Any],
        base_tags: Mapping[str, str],
        privacy: Privacy,
        note: Note,
    ) -> None:
        self._static = dict(static)
        self._base_tags = dict(base_tags)
        self._privacy = privacy
        self._note = note

    def build(self, entry: Entry) -> dict[str, Any]:
        """The event of one entry. Raises InvalidEventError."""
        event = self._envelope(entry)
        if entry.type == REQUEST_TYPE:
            self._request(event, entry.fields)
        elif entry.type == FEEDBACK_TYPE:
            self._feedback(event, entry.fields)
        else:
            self._prompt(event, entry.fields)
        return event

    def heartbeat(self, event_id: str, ts_ms: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """A client.stats event."""
        return {**self._static, "type": STATS_TYPE, "id": event_id, "ts": ts_ms, **body}

    def _envelope(self, entry: Entry) -> dict[str, Any]:
        fields = entry.fields
        event = {**self._static, "type": entry.type, "id": entry.id, "ts": self._ts(entry)}
        if entry.span is not None:
            event["trace_id"], event["span_id"] = entry.span
        for name in ("user_id", "key_id"):
            if name in fields:
                self._identity(event, name, fields[name])
        own_tags = fields.get("tags")
        if own_tags is not None or self._base_tags:
            self._tags(event, own_tags)
        return event

    def _ts(self, entry: Entry) -> int:
        ts = entry.fields.get("ts")
        if ts is None:
            return entry.ts_ms
        if type(ts) is int and TS_MIN_MS <= ts <= entry.ts_ms + FUTURE_MS:
            return ts
        raise InvalidEventError("ts")

    def _identity(self, event: dict[str, Any], name: str, value: object) -> None:
        try:
            plain = label(value)
        except UnfitError:
            self._note("unfit_field")
            return
        if plain is None:
            return
        shown = self._privacy.identity(str(value) if type(value) is not Cut else value.head)
        if shown is None:
            self._note("no_hmac_key")
        else:
            event[name] = shown if self._privacy.hash_ids else plain

    def _tags(self, event: dict[str, Any], own: object) -> None:
        merged: dict[str, str] = {}
        if own is not None:
            try:
                merged = tags(own)
            except UnfitError:
                self._note("unfit_field")
        for name, value in self._base_tags.items():
            merged.setdefault(name, value)
        if merged:
            redacted = self._privacy.redacted
            event["tags"] = {k: redacted(v)[:200] for k, v in list(merged.items())[:16]}

    def _fill(
        self, event: dict[str, Any], fields: Mapping[str, Any], table: Mapping[str, Cleaner],
        own: frozenset[str],
    ) -> None:  # fmt: skip
        for name, value in fields.items():
            cleaner = table.get(name)
            if cleaner is None:
                if name not in own:
                    self._note("unknown_field")
                continue
            if value is None:
                continue
            try:
                cleaned = cleaner(value)
            except UnfitError:
                self._note("unfit_field")
                continue
            if cleaned is not None:
                event[name] = cleaned

    # -- llm.request ---------------------------------------------------------------------------
    def _request(self, event: dict[str, Any], fields: Mapping[str, Any]) -> None:
        self._fill(event, fields, REQUEST, _REQUEST_OWN)
        event.setdefault("op", "chat")
        event.setdefault("provider", "unknown")
        if fields.get("status") is None:
            event["status"] = "ok"
        for name in ("model", "duration_ms", "status"):
            if name not in event:
                raise InvalidEventError(name)
        self._texts(event, fields)

    def _texts(self, event: dict[str, Any], fields: Mapping[str, Any]) -> None:
        given: dict[str, str | Cut] = {}
        for name in REQUEST_TEXTS:
            text = fields.get(name)
            if type(text) is str or type(text) is Cut:
                given[name] = text
            elif text is not None:
                self._note("unfit_field")
        for side in ("input", "output"):
            whole = given.get(f"{side}_text")
            if whole is not None:
                chars = whole.chars if type(whole) is Cut else len(whole)
                event.setdefault(f"{side}_chars", chars)
                hashed = self._privacy.hash_text(whole)
                if hashed is not None:
                    event[f"{side}_hash"] = hashed
        if not given:
            event["content"] = "none"
        elif not self._privacy.sends_text:
            event["content"] = self._privacy.capture
            if self._privacy.capture == "hash" and not self._privacy.key:
                self._note("no_hmac_key")
        else:
            self._shown_texts(event, given)

    def _shown_texts(self, event: dict[str, Any], given: Mapping[str, str | Cut]) -> None:
        privacy = self._privacy
        failed = event["status"] != "ok"
        event["text_probability"] = 1.0 if failed else privacy.text_probability
        identity = event.get("trace_id") or event["id"]
        if not privacy.keeps_text_of(identity, failed=failed):
            event["content"] = "sampled_out"
            return
        try:
            shown = {name: privacy.show(text) for name, text in given.items()}
        except MaskFailedError:
            self._note("mask_failed")
            del event["text_probability"]
            event["content"] = "none"
            return
        for name, text in shown.items():
            event[name] = text.text
        event["content"] = privacy.capture
        if any(text.truncated for text in shown.values()):
            event["truncated"] = True

    # -- the others ----------------------------------------------------------------------------
    def _feedback(self, event: dict[str, Any], fields: Mapping[str, Any]) -> None:
        if type(fields.get("value")) is bool:
            fields = {**fields, "value": float(fields["value"])}
        self._fill(event, fields, FEEDBACK, _FEEDBACK_OWN)
        event.setdefault("annotator", "human")
        if "name" not in event:
            raise InvalidEventError("name")
        if "value" not in event and "label" not in event:
            raise InvalidEventError("value or label")
        if not any(target in event for target in ("target_id", "response_id", "trace_id")):
            raise InvalidEventError("target_id")
        comment = fields.get("comment")
        if comment is not None:
            self._comment(event, comment)

    def _comment(self, event: dict[str, Any], comment: object) -> None:
        if type(comment) is not str and type(comment) is not Cut:
            self._note("unfit_field")
        elif self._privacy.sends_text:
            try:
                event["comment"] = self._privacy.show(comment).text
            except MaskFailedError:
                self._note("mask_failed")

    def _prompt(self, event: dict[str, Any], fields: Mapping[str, Any]) -> None:
        hashed = fields.get("template_hash")
        self._fill(event, fields, _PROMPT, _PROMPT_OWN)
        event.setdefault("prompt_version", hashed)
        template = fields.get("template")
        if "prompt_name" not in event or not hashed or template is None:
            raise InvalidEventError("name and template")
        if self._privacy.sends_text:
            whole = template.head if type(template) is Cut else template
            event["template"] = cut(self._privacy.redacted(clean(whole)), MAX_TEMPLATE_BYTES)
        labels = fields.get("labels")
        if type(labels) is tuple:
            event["labels"] = [label(text) for text in labels[:16] if type(text) is str and text]


_PROMPT: Final = {**ENVELOPE, "prompt_name": label, "prompt_version": label, "template_hash": label}
_PROMPT_OWN = OWN | {"template", "labels"}
_REQUEST_OWN = OWN | frozenset(REQUEST_TEXTS)
_FEEDBACK_OWN = OWN | {"comment"}
