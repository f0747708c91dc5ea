"""A thread for calls that block, one after another, which nobody waits for when the process ends.

The threads of an executor are joined at exit: a call that hangs (a store that was stopped) would
hold the process for as long as its time-out. What such a call leaves behind is known from the
store's markers, so it may be cut off.
In: calls. Out: what they return or raise, awaited in the caller's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class DaemonThread:
    """One thread; calls run in the order in which they were asked for."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[
            tuple[Callable[[], Any], asyncio.Future[Any], asyncio.AbstractEventLoop]
        ] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def run(self, call: Callable[[], T]) -> T:
        """Run it there. Cancelled before its turn, it is left out."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._calls.put((call, future, loop))
        return await future

    def _work(self) -> None:
        while True:
            call, future, loop = self._calls.get()
            if future.cancelled():
                continue
            try:
                result, error = call(), None
            except BaseException as e:  # noqa: BLE001  # a rim: raised where it is awaited
                result, error = None, e
            with contextlib.suppress(RuntimeError):  # the loop has ended, nobody waits
                loop.call_soon_threadsafe(_tell, future, result, error)


def _tell(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
