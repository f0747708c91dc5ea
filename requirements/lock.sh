#!/bin/sh
# Lock the dependencies with hashes. The files name versions and hashes, never where they came from.
set -eu
cd "$(dirname "$0")/.."
lock() {
    uv pip compile -q --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate "$@"
}
lock pyproject.toml requirements/build.in -o requirements/base.txt
lock pyproject.toml requirements/build.in --extra server -c requirements/base.txt -o requirements/server.txt
lock pyproject.toml requirements/build.in --extra server --group dev -c requirements/server.txt -o requirements/dev.txt
