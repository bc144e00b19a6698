"""What runs in a worker process: one thread with its own event loop and one shard of the users.

The coordinator reaches it by the functions of this module alone, each a short call through
``concurrent.futures.Executor.submit``, so processes on this machine and workers of a cluster do alike.
Times that are handed over count from the call, since the clocks of two machines do not agree.
"""

import asyncio
import os
import resource
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine
from functools import partial
from multiprocessing import parent_process
from typing import Any, Final, TypeVar

import msgspec
import uvloop

from loadgen.client.account import Account
from loadgen.client.account_source import elsewhere
from loadgen.client.client_type import ClientType
from loadgen.client.local_copy import LocalCopy
from loadgen.client.outlook import OutlookClient
from loadgen.engine.client import Client, Connect, Probe
from loadgen.engine.live_shard import Shard, ShardCensus, ShardReport
from loadgen.engine.security import connection_options, secured
from loadgen.engine.shards import ShardPlan
from loadgen.errors import PeerError

T = TypeVar("T")

CALL_TIMEOUT_S: Final = 60.0


class _Host:
    """The thread whose loop a shard runs on."""

    def __init__(self, plan: ShardPlan, connect: Connect) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"shard-{plan.shard}", daemon=True
        )
        self._thread.start()
        self.shard: Shard = self.run(_make_shard(plan, connect))
        if (parent := parent_process()) is not None:
            # Load without anybody to stop it must not outlive its coordinator, however that ended.
            self._loop.call_soon_threadsafe(self._loop.add_reader, parent.sentinel, os._exit, 1)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs ``work`` on the loop and waits for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT_S)

    def call(self, action: Callable[[Shard], T]) -> T:
        """Runs ``action`` on the loop's thread and waits for it."""

        async def act() -> T:
            return action(self.shard)

        return self.run(act())

    def stop(self) -> None:
        """Ends the shard and its thread."""
        self.run(self.shard.end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_TIMEOUT_S)


_host: _Host | None = None


def ignore_interrupts() -> None:
    """Leaves Ctrl-C, which reaches the whole process group, to the coordinator."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def open_shard(plan: ShardPlan) -> None:
    """Makes this process the host of a shard, with as many descriptors as it may have."""
    global _host  # noqa: PLW0603 - a worker process is the host of one shard
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _host = _Host(plan, partial(_connect, plan, defaultdict(LocalCopy), {}))


def close_shard() -> None:
    """Cuts what is still open; the process may then end."""
    global _host  # noqa: PLW0603 - see open_shard
    if _host is not None:
        _host.stop()
        _host = None


def report() -> ShardReport:
    """Ends the interval and tells what was in it."""
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough
    return _the_host().run(_the_host().shard.report(descriptors))


def census() -> ShardCensus:
    """Who is logged on, and with how many connections."""
    return _the_host().run(_the_host().shard.census())


def freeze(patience_s: float) -> int:
    """Holds openings and closings back; returns how many are still under way when patience ends."""
    return _the_host().run(_the_host().shard.freeze(patience_s))


def thaw() -> None:
    """Lets openings and closings go on."""
    _the_host().call(Shard.thaw)


def log_on_first() -> None:
    """Logs on the first user of this shard, alone."""
    _the_host().call(lambda shard: shard.population.log_on_first())


def ramp(in_s: float) -> None:
    """Starts the ramp that many seconds from now."""
    _the_host().call(lambda shard: shard.population.ramp(shard.after(in_s)))


def scale(users: int, in_s: float, per_s: float) -> None:
    """Logs the first ``users`` of the whole population on and all others off, at ``per_s``."""
    _the_host().call(lambda shard: shard.population.scale(users, shard.after(in_s), per_s))


def address(users: int) -> None:
    """From now on, mail goes to the first ``users`` of the whole population."""
    _the_host().call(lambda shard: shard.population.address(users))


def end_startup() -> None:
    """Closes start-up connections as they have been held long enough."""
    _the_host().call(lambda shard: shard.population.end_startup(shard.after(0)))


def begin_day(in_s: float, for_s: float) -> None:
    """Starts the schedules; the measured phase begins in ``in_s`` and lasts ``for_s`` seconds."""
    _the_host().call(lambda shard: shard.begin_day(in_s, for_s))


def cut_short() -> None:
    """Ends the schedules: nothing that has not been due yet is planned any more."""
    _the_host().call(lambda shard: shard.population.cut_short())


def enter(phase: str) -> None:
    """Tells the users which phase it is."""
    _the_host().call(lambda shard: shard.population.enter(phase))


def log_off(over_s: float) -> None:
    """Logs everybody off, evenly over ``over_s`` seconds."""
    _the_host().call(lambda shard: shard.population.log_off(shard.after(0), over_s))


async def _make_shard(plan: ShardPlan, connect: Connect) -> Shard:
    return Shard(plan, connect)


def _the_host() -> _Host:
    if _host is None:
        raise RuntimeError("this process hosts no shard")
    return _host


def _connect(
    plan: ShardPlan,
    copies: defaultdict[int, LocalCopy],
    referred: dict[int, str],
    account: Account,
    client_type: ClientType,
    *,
    startup: bool,
    probe: Probe,
    on_notify: Callable[[], None],
    on_public_news: Callable[[], None],
    on_lost: Callable[[PeerError], None],
) -> Client:
    """Users are dealt out to the proxies and to the source addresses in turn.

    A user in cached mode who comes back works on the same copy of the mailbox, and whoever has been referred
    anew keeps to that.
    """
    proxy = secured(plan.proxies[account.index % len(plan.proxies)], plan.campaign)
    sources, inside = plan.source_addresses, plan.inside
    if sources:
        source = sources[account.index % len(sources)]
        proxy = msgspec.structs.replace(proxy, source_addresses=(source,))
        inside = msgspec.structs.replace(inside, source_addresses=(source,))
    return OutlookClient(
        account,
        client_type,
        proxy,
        startup=startup,
        probe=probe,
        on_notify=on_notify,
        on_public_news=on_public_news,
        on_lost=on_lost,
        options=connection_options(plan.campaign),
        copy=copies[account.index] if client_type.cached else None,
        referred=referred,
        second=elsewhere(plan.accounts, account) if client_type.second_mailbox else None,
        dialect=plan.dialect,
        inside=inside,
        removing=plan.stamp if plan.removing else "",
    )
