"""Control of a run by the keys of the terminal in which it was started."""

import asyncio
import os
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Final

from loadgen.cli.live_view import SURE_S, LiveView
from loadgen.cli.progress import Display
from loadgen.engine.control import Command, Control
from loadgen.engine.phases import PAUSE

KEYBOARD: Final = "keyboard"
STEP: Final = 0.1
"""Of the planned users: how many ``+`` and ``-`` bring or send away."""
_MOST_KEYS: Final = 32


class Keys:
    """What each key does. ``clock`` gives seconds."""

    def __init__(self, view: LiveView, control: Control, clock: Callable[[], float] = time.monotonic) -> None:
        self._view = view
        self._control = control
        self._clock = clock
        self._asked_to_stop_at: float | None = None
        self._turn = asyncio.Lock()

    async def press(self, key: str) -> None:
        """Does what a key is for, one after the other; others do nothing."""
        async with self._turn:
            match key:
                case "?":
                    self._view.toggle_help()
                case "p":
                    await self._pause_or_resume()
                case "+" | "=" | "-":
                    await self._scale(-1 if key == "-" else 1)
                case "q":
                    await self._stop()

    async def _pause_or_resume(self) -> None:
        status = await self._control.obey(Command("status"), KEYBOARD)
        await self._do(Command("resume" if status.text == PAUSE else "pause"))

    async def _scale(self, direction: int) -> None:
        progress = (await self._control.obey(Command("status"), KEYBOARD)).status
        if progress is None:
            return
        planned, step = progress.users_planned, max(1, round(STEP * progress.users_planned))
        users = min(planned, max(1, progress.users_wanted + direction * step))
        if users == progress.users_wanted:
            self._view.note(
                "all planned users are wanted already" if direction > 0 else "one user has to stay"
            )
        else:
            await self._do(Command("scale", users))

    async def _stop(self) -> None:
        now, asked = self._clock(), self._asked_to_stop_at
        self._asked_to_stop_at = now
        if asked is None or now - asked > SURE_S:
            self._view.note(f"q again within {SURE_S:g} s stops the run in good order")
        else:
            await self._do(Command("stop"))

    async def _do(self, command: Command) -> None:
        self._view.note(f"{command} …")
        answer = await self._control.obey(command, KEYBOARD)
        self._view.note(f"{command}: {answer.text}")


def by_keys(display: Display) -> Callable[[Control], AbstractContextManager[object]]:
    """Lets a run be controlled by keys while it lasts, if there is a live view and somebody before it."""

    def listen(control: Control) -> AbstractContextManager[object]:
        if isinstance(display, LiveView) and _is_ours(sys.stdin.fileno()):
            return _listening(sys.stdin.fileno(), display, control)
        return nullcontext()

    return listen


def _is_ours(terminal: int) -> bool:
    """Whether keys come to this process: a terminal, and not that of a job in the background."""
    try:
        return os.isatty(terminal) and os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False


@contextmanager
def _listening(terminal: int, view: LiveView, control: Control) -> Iterator[None]:
    """Keys come one by one and are not shown; Ctrl-C and Ctrl-Z do what they always do."""
    loop = asyncio.get_running_loop()
    keys, pressing = Keys(view, control), set[asyncio.Task[None]]()
    before = termios.tcgetattr(terminal)

    def take() -> None:
        typed = b""
        with suppress(OSError):
            typed = os.read(terminal, _MOST_KEYS)
        if not typed:
            loop.remove_reader(terminal)
            return
        # An arrow or a paste comes as several bytes at once, and means nothing here.
        if len(typed) == 1:
            task = loop.create_task(keys.press(typed.decode("latin-1")))
            pressing.add(task)
            task.add_done_callback(pressing.discard)

    tty.setcbreak(terminal, termios.TCSANOW)
    loop.add_reader(terminal, take)
    loop.add_signal_handler(signal.SIGCONT, tty.setcbreak, terminal, termios.TCSANOW)
    view.has_keys = True
    try:
        yield
    finally:
        view.has_keys = False
        loop.remove_signal_handler(signal.SIGCONT)
        loop.remove_reader(terminal)
        for task in tuple(pressing):
            task.cancel()
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
