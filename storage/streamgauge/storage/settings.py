"""How to reach a store: one frozen settings object for every client of ours.

    STREAMGAUGE_STORE_URL=http://127.0.0.1:8123        https:// for a remote server
    STREAMGAUGE_STORE_USER=streamgauge
    STREAMGAUGE_STORE_PASSWORD=... | STREAMGAUGE_STORE_PASSWORD_FILE=/path
    STREAMGAUGE_STORE_DATABASE=llm

Not here: connecting (client.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from streamgauge.contracts.errors import Misconfigured

ENV_URL = "STREAMGAUGE_STORE_URL"
ENV_USER = "STREAMGAUGE_STORE_USER"
ENV_PASSWORD = "STREAMGAUGE_STORE_PASSWORD"  # noqa: S105 the name of a variable
ENV_PASSWORD_FILE = "STREAMGAUGE_STORE_PASSWORD_FILE"  # noqa: S105
ENV_DATABASE = "STREAMGAUGE_STORE_DATABASE"

DEFAULT_USER = "streamgauge"
DEFAULT_DATABASE = "llm"
_DATABASE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def read_password(path: str | Path, *, hint: str) -> str:
    """The password in a file; Misconfigured, with this hint, if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise Misconfigured(
            f"cannot read the store's password: {why}: {path}", hint=hint
        ) from error


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Address, account and database of a ClickHouse HTTP interface. `repr` hides the password."""

    url: str
    user: str = DEFAULT_USER
    password: str = field(default="", repr=False)
    database: str = DEFAULT_DATABASE

    def __post_init__(self) -> None:
        """Misconfigured if address or database name cannot be right."""
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # a port beyond 65535, half an IPv6 address
            usable = False
        if usable and "@" in parts.netloc:  # not repeated here: it may hold a password
            raise Misconfigured(
                "the store address holds an account",
                hint=f"write http(s)://host:port, and set {ENV_USER} and {ENV_PASSWORD_FILE}",
            )
        if not usable:
            raise Misconfigured(
                f"store address {self.url!r} is not http(s)://host:port", hint=f"set {ENV_URL}"
            )
        if not _DATABASE_NAME.fullmatch(self.database):
            raise Misconfigured(
                f"database name {self.database!r}: expected letters, digits and _, at most 64",
                hint=f"set {ENV_DATABASE}",
            )

    @classmethod
    def from_env(
        cls, env: Mapping[str, str] = os.environ, *, default_url: str | None = None
    ) -> StoreSettings:
        """Read the environment; Misconfigured if no address is known or a file cannot be read."""
        url = env.get(ENV_URL) or default_url
        if not url:
            raise Misconfigured(
                "no store address",
                hint=f"start the stack with `streamgauge up`, or set {ENV_URL}=http://host:port",
            )
        password = env.get(ENV_PASSWORD, "")
        password_file = env.get(ENV_PASSWORD_FILE)
        if not password and password_file:
            password = read_password(
                password_file, hint=f"set {ENV_PASSWORD_FILE} to a readable file"
            )
        return cls(
            url.rstrip("/"),
            env.get(ENV_USER) or DEFAULT_USER,
            password,
            env.get(ENV_DATABASE) or DEFAULT_DATABASE,
        )

    def with_database(self, database: str) -> StoreSettings:
        """The same account on another database."""
        return replace(self, database=database)

    def to_env(self) -> dict[str, str]:
        """Environment for a child process; carries the password."""
        return {
            ENV_URL: self.url,
            ENV_USER: self.user,
            ENV_PASSWORD: self.password,
            ENV_DATABASE: self.database,
        }
