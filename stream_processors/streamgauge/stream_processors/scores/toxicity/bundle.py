"""A bundle of weights on disk: one folder with `bundle.json` and the files that it names.

In: a folder. Out: what it holds, checked: every file has the sha256 that the bundle states. A
tampered or torn bundle is refused at start. Nothing is unpickled and nothing is fetched.
Not here: running the model (engines), making a bundle.

bundle.json: {"format": 1, "model": "original-small", "engine": "ort-int8pc",
              "labels": ["toxicity", ...], "files": {"model.onnx": "<sha256>", ...}}
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streamgauge.contracts.errors import Misconfigured

FORMAT: Final = 1
HINT: Final = "STREAMGAUGE_DETOXIFY_BUNDLE names the folder; leave it unset to run without"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Checked weights. weights_hash: sha256 over the names and hashes of all files."""

    folder: Path
    model: str
    engine: str
    labels: tuple[str, ...]
    weights_hash: str


def open_bundle(folder: Path) -> Bundle:
    """The bundle in a folder. Misconfigured if it is missing, malformed or not what it states."""
    header_path = folder / "bundle.json"
    try:
        header = json.loads(header_path.read_bytes())
        model, engine = str(header["model"]), str(header["engine"])
        labels = tuple(str(label) for label in header["labels"])
        files = {str(name): str(digest) for name, digest in header["files"].items()}
        number = header["format"]
    except OSError as e:
        raise Misconfigured(f"{header_path}: cannot be read: {e.strerror}", hint=HINT) from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise Misconfigured(f"{header_path}: not a weights bundle: {e!r}", hint=HINT) from e
    if number != FORMAT or "toxicity" not in labels or not files:
        raise Misconfigured(
            f"{header_path}: format {number!r}, labels {list(labels)}, {len(files)} files; "
            f"expected format {FORMAT}, a label toxicity and at least one file",
            hint=HINT,
        )
    for name, stated in sorted(files.items()):
        _check_file(folder, name, stated)
    listing = "\n".join(f"{name} {digest}" for name, digest in sorted(files.items()))
    return Bundle(folder, model, engine, labels, hashlib.sha256(listing.encode()).hexdigest())


def _check_file(folder: Path, name: str, stated: str) -> None:
    path = folder / name
    if Path(name).name != name:
        raise Misconfigured(f"{folder}: file {name!r} lies outside the bundle", hint=HINT)
    try:
        with path.open("rb") as f:
            actual = hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as e:
        raise Misconfigured(f"{path}: cannot be read: {e.strerror}", hint=HINT) from e
    if actual != stated:
        raise Misconfigured(
            f"{path}: sha256 is {actual}, the bundle states {stated}",
            hint="the file was changed or torn: copy the bundle again",
        )
