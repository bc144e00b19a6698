"""What a process of the mock is made of."""

from typing import Protocol

from mock_server.counters import RoleCounters


class Role(Protocol):
    """One service of a server; a process runs one or several of them."""

    async def start(self) -> None:
        """Listen; raises :class:`OSError` when that is not possible."""

    def report(self) -> RoleCounters:
        """The counters at this moment."""
