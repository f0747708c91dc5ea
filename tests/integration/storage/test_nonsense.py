"""What is no statement is refused with ClickHouse's code, whoever sends it, and harms nobody."""

from __future__ import annotations

import random
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.sqltext import tokens

pytestmark = pytest.mark.clickhouse

BEGINNINGS = (b"--", b"/*", b"#", b";", b"\0", b" ;", b"-- x\n", b"/* x */", b"\xef\xbb\xbf", b"#!")
BLANKS = (b" ", b";", b"\n", b"-", b"/", b"*", b"#", b"\t", b"\0")


@pytest.fixture(scope="module")
def store(store_server: EmbeddedStore) -> StoreSettings:
    """Shadows the migrated database: these tests need no tables."""
    return store_server.settings("default")


def post(store: StoreSettings, body: bytes) -> tuple[int, bytes, str]:
    """Status, body, ClickHouse's error code."""
    headers = {"X-ClickHouse-User": store.user, "X-ClickHouse-Key": store.password}
    request = urllib.request.Request(store.url, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read(), ""
    except urllib.error.HTTPError as e:
        return e.code, e.read(), e.headers["X-ClickHouse-Exception-Code"]


def nonsense(rng: random.Random, kind: int) -> bytes:
    n = rng.choice([1, 2, 5, 50, 1024])
    match kind:
        case 0:
            return rng.randbytes(n)
        case 1:
            return bytes(rng.randrange(32, 127) for _ in range(n))
        case 2:
            return rng.choice(BEGINNINGS) + rng.randbytes(n)
        case _:
            return b"".join(rng.choices(BLANKS, k=rng.choice([1, 2, 3, 6])))


@pytest.mark.parametrize("kind", range(4))
def test_random_bytes_are_a_syntax_error(store: StoreSettings, kind: int) -> None:
    rng = random.Random(kind)
    for _ in range(150):
        body = nonsense(rng, kind)
        status, text, code = post(store, body)
        assert status == 400, (body, text)
        assert code in ("62", "36"), (body, text)
        assert text.startswith(b"Code: "), (body, text)
    assert post(store, b"SELECT 1") == (200, b"1\n", "")


@pytest.mark.parametrize(
    "word", [b"q", b"exit", b"quit", b"logout", b"\\q", b":q", b"QUIT;", b"q;"]
)
def test_a_shells_word_for_leaving_is_no_statement(store: StoreSettings, word: bytes) -> None:
    status, text, code = post(store, word)
    assert (status, code) == (400, "62"), text
    assert post(store, b"SELECT 1") == (200, b"1\n", "")


@pytest.mark.parametrize(
    "text", [b"SELECT 1; SELECT 2", b"SELECT 1;\xff", b";;SELECT 1", b"SELECT 1\0", b"SELECT 1 /*"]
)
def test_more_or_less_than_one_statement_is_refused(store: StoreSettings, text: bytes) -> None:
    status, answer, code = post(store, text)
    assert (status, code) == (400, "62"), answer
    assert list(tokens(text))  # our own tokenizer reads it without an error


@pytest.mark.parametrize("account", ["password", "reader-password"])
def test_password_file_that_is_no_text_is_one_clear_line_of_the_start(
    tmp_path: Path, account: str
) -> None:
    (tmp_path / account).write_bytes(b"\xff\xfe\x00")
    store = EmbeddedStore(tmp_path)
    with pytest.raises(Misconfigured, match=f"it is no text: {tmp_path / account}") as caught:
        store.start()
    assert "remove the file" in str(caught.value)
