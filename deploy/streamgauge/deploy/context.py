"""Which Kafka and which store a command means: the environment, else the running stack.

In: environment and the data folder's stack.json. Out: settings, or one clear Misconfigured.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streamgauge.contracts.environment import ENV_CLOCK_MODE, ENV_LATENESS
from streamgauge.contracts.kafka import ENV_BOOTSTRAP, ENV_PREFIX, KafkaSettings
from streamgauge.deploy.paths import ENV_HOME, home_folder
from streamgauge.deploy.stack.state import StackState, running_state

if TYPE_CHECKING:
    from streamgauge.storage.settings import StoreSettings


@dataclass(frozen=True, slots=True)
class Context:
    """The environment, the data folder and the stack that runs there, if one does."""

    env: Mapping[str, str]
    home: Path
    stack: StackState | None

    @classmethod
    def find(cls, env: Mapping[str, str] = os.environ, home: Path | None = None) -> Context:
        """Look at the environment and at stack.json."""
        folder = (home or home_folder(env)).expanduser().resolve()
        return cls(env, folder, running_state(folder))

    def kafka(self) -> KafkaSettings:
        """The broker: STREAMGAUGE_BOOTSTRAP, else the running stack's."""
        from streamgauge.contracts.pass_through import require_known  # loads librdkafka

        if self.env.get(ENV_BOOTSTRAP) or self.stack is None:
            return require_known(KafkaSettings.from_env(self.env))
        env = {ENV_PREFIX: self.stack.prefix, **self.env}
        if not self.stack.kafka_external:
            env = {k: v for k, v in env.items() if k == ENV_PREFIX}
        return require_known(KafkaSettings.from_env(env, default_bootstrap=self.stack.bootstrap))

    def store(self, *, reader: bool = False) -> StoreSettings:
        """The store: STREAMGAUGE_STORE_URL, else the running stack's.

        reader: with the account that can only read, if the stack has one.
        """
        from streamgauge.storage.settings import ENV_URL, StoreSettings, read_password

        if self.env.get(ENV_URL) or self.stack is None:
            return StoreSettings.from_env(self.env)
        user, file = self.stack.store_user, self.stack.password_file
        if reader and self.stack.reader_user:
            user, file = self.stack.reader_user, self.stack.reader_password_file
        password = ""
        if file:
            password = read_password(file, hint="run as the user who started the stack")
        return StoreSettings(self.stack.store_url, user, password, self.stack.database)

    def client_env(self) -> dict[str, str]:
        """Environment for a program that shall reach the same Kafka and store."""
        from streamgauge.deploy.stack.plan import client_env

        env = client_env(self.kafka(), self.store().to_env(), base=self.env)
        if self.stack is not None:
            env.setdefault(ENV_CLOCK_MODE, self.stack.clock_mode)
            env.setdefault(ENV_LATENESS, f"{self.stack.lateness_s:g}")
            env.setdefault(ENV_HOME, str(self.home))
        return env
