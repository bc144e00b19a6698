"""What goes wrong on purpose while the organisation serves: servers that stop, come back, or stall."""

import asyncio
from collections.abc import Iterable, Sequence

from mock_server.child import Child
from mock_server.faults import PlannedFault


class NoSuchServer(LookupError):
    """No server of the organisation has this name."""


class Outages:
    """Stops, starts and stalls servers of which ``children`` are the processes."""

    def __init__(self, children: Iterable[Child]) -> None:
        self._children: dict[str, list[Child]] = {}
        for child in children:
            self._children.setdefault(child.name.lower(), []).append(child)

    def is_up(self, server: str) -> bool:
        """Whether it is meant to serve; raises :class:`NoSuchServer`."""
        return all(child.is_up for child in self._of(server))

    async def stop(self, server: str) -> None:
        """End its processes; nothing happens to those that are down."""
        await asyncio.gather(*(child.take_down() for child in self._of(server)))

    async def start(self, server: str) -> None:
        """Start again what is down; raises :class:`CannotListen` and :class:`RoleDied`."""
        await asyncio.gather(*(child.bring_up() for child in self._of(server)))

    async def stall(self, server: str, seconds: float) -> None:
        """Let its processes do nothing for so long."""
        await asyncio.gather(*(child.stall(seconds) for child in self._of(server) if child.is_up))

    async def carry_out(self, fault: PlannedFault) -> None:
        """Wait until the fault is due, and see it through."""
        await asyncio.sleep(fault.at_s)
        if fault.action == "stall":
            await self.stall(fault.server, fault.for_s)
        else:
            await self.stop(fault.server)
            await asyncio.sleep(fault.for_s)
            await self.start(fault.server)

    def _of(self, server: str) -> Sequence[Child]:
        try:
            return self._children[server.lower()]
        except KeyError:
            raise NoSuchServer(server) from None
