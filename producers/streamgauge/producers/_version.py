"""Name and version that events carry in `sdk`.

A constant, because importlib.metadata costs an app 15 ms; a test holds it to the package's version.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0.dev0"
SDK: Final = f"streamgauge-python/{VERSION}"
