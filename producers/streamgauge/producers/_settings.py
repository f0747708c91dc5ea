"""The client's settings: arguments over environment over defaults, checked once.

`resolve` is the only place that reads the client's environment; it raises Misconfigured, so nothing
can be misconfigured later. The off switch wins over everything: STREAMGAUGE_DISABLED=1 or
enabled=False, then nothing else is checked. README.md of the producers has the table of variables.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict, TypeVar, cast

from streamgauge.contracts import bounds
from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.kafka import ENV_BOOTSTRAP, KafkaSettings
from streamgauge.producers._fields import UnfitError
from streamgauge.producers._fields import tags as clean_tags
from streamgauge.producers._privacy import Mask
from streamgauge.producers._shapes import Capture
from streamgauge.producers._sink import Sink
from streamgauge.producers._values import freeze, plain_str

T = TypeVar("T")
CAPTURES: Final = ("redacted", "full", "hash", "none")
_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("0", "false", "no", "off", "")
LABELS: Final = ("app", "tenant", "env", "team", "feature", "release", "region")


class ClientOptions(TypedDict, total=False):
    """Arguments of `init` and `Client`; each has an environment variable (see the README)."""

    app: str
    bootstrap: str
    tenant: str
    env: str
    team: str
    feature: str
    release: str
    region: str
    tags: Mapping[str, str]
    capture: Capture
    text_probability: float
    mask: Mask | None
    hmac_key: str | bytes
    hash_ids: bool
    queue_events: int
    queue_bytes: int
    heartbeat_s: float
    close_timeout_s: float
    kafka: Mapping[str, str | int | float | bool]
    topic_prefix: str
    enabled: bool
    dry_run: bool
    sink: Sink | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Everything a client needs to know. `repr` hides the key; times in seconds, sizes in bytes."""

    enabled: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    capture: Capture = "redacted"
    text_probability: float = 1.0
    mask: Mask | None = None
    hmac_key: bytes = field(default=b"", repr=False)
    hash_ids: bool = True
    queue_events: int = 50_000
    queue_bytes: int = 16 * 1024 * 1024
    heartbeat_s: float = bounds.HEARTBEAT_MS / 1000
    close_timeout_s: float = 2.0
    kafka: KafkaSettings | None = None
    dry_run: bool = False
    sink: Sink | None = None


class _Reader:
    """One option after another, from the arguments or else the environment."""

    def __init__(self, options: Mapping[str, Any], env: Mapping[str, str]) -> None:
        self._options = options
        self._env = env

    def get(self, name: str, variable: str, default: T, parse: Callable[[Any], T]) -> T:
        """The option, parsed. Raises Misconfigured naming where the bad value came from."""
        if self._options.get(name) is not None:
            where, value = f"argument {name}", self._options[name]
        elif self._env.get(variable):
            where, value = variable, self._env[variable]
        else:
            return default
        try:
            return parse(value)
        except (ValueError, TypeError, OverflowError, UnfitError) as error:
            shown = "" if "key" in name else f" {str(value)[:60]!r}"
            raise Misconfigured(f"{where}{shown}: {error}") from None


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("expected 1 or 0")


def _label(value: object) -> str:
    text = plain_str(value)
    if text is None or not text.strip():
        raise ValueError("expected a text that is not empty")
    if len(text) > bounds.MAX_STRING_CHARS or "\0" in text or not text.isprintable():
        raise ValueError(f"expected at most {bounds.MAX_STRING_CHARS} printable characters")
    return text.strip()


def _capture(value: object) -> Capture:
    if value in CAPTURES:
        return value
    raise ValueError(f"expected one of {', '.join(CAPTURES)}")


def _between(kind: type[T], low: float, high: float) -> Callable[[Any], T]:
    def parse(value: Any) -> T:
        number: Any = kind(value)  # type: ignore[call-arg]  # int or float
        if math.isnan(number) or not low <= number <= high:
            raise ValueError(f"expected a number from {low:g} to {high:g}")
        return cast(T, number)

    return parse


def _key(value: object) -> bytes:
    key = value.encode() if isinstance(value, str) else value
    if not isinstance(key, bytes) or len(key) < 16:
        raise ValueError("expected a key of at least 16 bytes; try `openssl rand -hex 32`")
    return key


def _mask(value: object) -> Mask | None:
    if not callable(value):
        raise ValueError("expected a function from text to text")
    return cast(Mask, value)


def _tags(value: object) -> dict[str, str]:
    if isinstance(value, str):  # STREAMGAUGE_TAGS=zone=eu,tier=gold
        value = dict(pair.strip().split("=", 1) for pair in value.split(",") if pair.strip())
    try:
        return clean_tags(freeze(value))
    except UnfitError:
        raise ValueError("expected a map of text to text") from None


def _kafka(read: _Reader, options: Mapping[str, Any], env: Mapping[str, str]) -> KafkaSettings:
    bootstrap = read.get("bootstrap", ENV_BOOTSTRAP, "", _label)
    if not bootstrap:
        raise Misconfigured(
            "no Kafka address for the client",
            hint=f"pass bootstrap=, set {ENV_BOOTSTRAP}=host:port, or look first with dry_run=True",
        )
    if "://" in bootstrap and not bootstrap.upper().startswith(("PLAINTEXT", "SSL", "SASL")):
        raise Misconfigured(
            f"bootstrap {bootstrap!r}: expected host:port, not a URL", hint="broker.example:9092"
        )
    found = KafkaSettings.from_env({**env, ENV_BOOTSTRAP: bootstrap})
    prefix = read.get("topic_prefix", "STREAMGAUGE_TOPIC_PREFIX", found.prefix, _label)
    given = options.get("kafka") or {}
    if not isinstance(given, Mapping):
        raise Misconfigured("argument kafka: expected a map of librdkafka settings")
    words = {str(k): str(v).lower() if isinstance(v, bool) else str(v) for k, v in given.items()}
    return KafkaSettings(bootstrap, prefix, {**found.extra, **words})


def resolve(options: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> ClientSettings:
    """Settings from arguments and environment. Raises Misconfigured, saying where and how."""
    unknown = sorted(set(options) - set(ClientOptions.__annotations__))
    if unknown:
        raise Misconfigured(
            f"the client has no option {unknown[0]!r}",
            hint=f"it has {', '.join(sorted(ClientOptions.__annotations__))}",
        )
    read = _Reader(options, env)
    if options.get("enabled") is False:  # off by name: a word in the environment cannot refuse it
        return ClientSettings(enabled=False)
    if read.get("", "STREAMGAUGE_DISABLED", False, _flag):
        return ClientSettings(enabled=False)
    if not read.get("enabled", "STREAMGAUGE_ENABLED", True, _flag):
        return ClientSettings(enabled=False)

    labels = {name: read.get(name, f"STREAMGAUGE_{name.upper()}", "", _label) for name in LABELS}
    if not labels["app"]:
        raise Misconfigured(
            "the client does not know the app's name", hint="pass app= or set STREAMGAUGE_APP"
        )
    labels["tenant"] = labels["tenant"] or bounds.DEFAULT_TENANT
    labels["env"] = labels["env"] or bounds.DEFAULT_ENV
    dry_run = read.get("dry_run", "STREAMGAUGE_DRY_RUN", False, _flag)
    sink: Sink | None = options.get("sink")
    if sink is not None and not all(callable(getattr(sink, n, None)) for n in _SINK_METHODS):
        raise Misconfigured("argument sink: expected an object with send, poll, purge and close")
    needs_kafka = not dry_run and sink is None
    return ClientSettings(
        enabled=True,
        labels={name: text for name, text in labels.items() if text},
        tags=read.get("tags", "STREAMGAUGE_TAGS", {}, _tags),
        capture=read.get("capture", "STREAMGAUGE_CAPTURE", "redacted", _capture),
        text_probability=read.get(
            "text_probability", "STREAMGAUGE_TEXT_PROBABILITY", 1.0, _between(float, 1e-6, 1.0)
        ),
        mask=read.get("mask", "", None, _mask),
        hmac_key=read.get("hmac_key", "STREAMGAUGE_HMAC_KEY", b"", _key),
        hash_ids=read.get("hash_ids", "STREAMGAUGE_HASH_IDS", True, _flag),
        queue_events=read.get(
            "queue_events", "STREAMGAUGE_QUEUE_EVENTS", 50_000, _between(int, 1, 10_000_000)
        ),
        queue_bytes=read.get(
            "queue_bytes", "STREAMGAUGE_QUEUE_BYTES", 16 * 1024 * 1024, _between(int, 65_536, 2**34)
        ),
        heartbeat_s=read.get(
            "heartbeat_s", "STREAMGAUGE_HEARTBEAT_S", 10.0, _between(float, 0.1, 3600)
        ),
        close_timeout_s=read.get(
            "close_timeout_s", "STREAMGAUGE_CLOSE_TIMEOUT_S", 2.0, _between(float, 0, 300)
        ),
        kafka=_kafka(read, options, env) if needs_kafka else None,
        dry_run=dry_run,
        sink=sink,
    )


_SINK_METHODS: Final = ("send", "poll", "purge", "close")


def program() -> str:
    """Python's version, for the `sdk` field."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"
