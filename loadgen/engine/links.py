"""How the coordinator reaches its shards: one executor with one worker each, so that one may die alone."""

import asyncio
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from typing import ParamSpec, TypeVar

from loadgen.engine import worker
from loadgen.engine.shards import ShardPlan

T = TypeVar("T")
P = ParamSpec("P")


class ShardLink:
    """One shard behind its executor. When its worker dies, the link says so and answers None from then on."""

    def __init__(self, plan: ShardPlan, executor: Executor) -> None:
        self.plan = plan
        self.is_lost = False
        self._executor = executor

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Calls a function of :mod:`loadgen.engine.worker` there; None if the worker is dead."""
        if self.is_lost:
            return None
        try:
            return await asyncio.wrap_future(self._executor.submit(function, *args, **kwargs))
        except BrokenExecutor:
            self.is_lost = True
            return None

    def release(self) -> None:
        """Lets the worker go when it has done what it was asked for."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class ShardLinks:
    """All shards of a run."""

    def __init__(self, links: Sequence[ShardLink]) -> None:
        self.all = tuple(links)

    @property
    def alive(self) -> tuple[ShardLink, ...]:
        """Those whose worker has not died."""
        return tuple(link for link in self.all if not link.is_lost)

    @property
    def lost(self) -> tuple[ShardLink, ...]:
        """Those whose worker has died."""
        return tuple(link for link in self.all if link.is_lost)

    async def open(self) -> None:
        """Starts every shard."""
        await asyncio.gather(*(link.call(worker.open_shard, link.plan) for link in self.all))

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> list[T]:
        """Calls a function in all workers at once; the answers of those that live."""
        answers = await asyncio.gather(*(link.call(function, *args, **kwargs) for link in self.alive))
        return [answer for answer in answers if answer is not None]

    def release(self) -> None:
        """Lets all workers go."""
        for link in self.all:
            link.release()


def local_links(plans: Sequence[ShardPlan]) -> ShardLinks:
    """A process on this machine for each plan."""
    context = multiprocessing.get_context("spawn")
    return ShardLinks(
        [
            ShardLink(
                plan,
                ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=worker.ignore_interrupts),
            )
            for plan in plans
        ]
    )


def kill_local_workers() -> None:
    """Ends the processes of :func:`local_links` at once, whatever they are doing."""
    for process in multiprocessing.active_children():
        process.kill()
