"""What an interrupt (Ctrl-C, or SIGTERM) does while something lasts; what is innermost has it."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

Interrupt = Callable[[], None]

_innermost: ContextVar[Interrupt | None] = ContextVar("innermost", default=None)


@contextmanager
def interrupted_by(interrupt: Interrupt) -> Iterator[None]:
    """Calls ``interrupt`` in the running loop for each signal; afterwards they are what they were before."""
    outer = _innermost.get()
    token = _innermost.set(interrupt)
    _give_to(interrupt)
    try:
        yield
    finally:
        _innermost.reset(token)
        _give_to(outer)


def _give_to(interrupt: Interrupt | None) -> None:
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        if interrupt is None:
            loop.remove_signal_handler(number)
        else:
            loop.add_signal_handler(number, interrupt)
