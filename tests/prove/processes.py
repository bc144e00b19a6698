"""What the kernel tells of processes: descriptors, memory and time on a processor; of connections, too."""

import os
import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
_ESTABLISHED = "01"


@dataclass(frozen=True)
class ProcessFigures:
    """One process at one moment."""

    descriptors: int
    resident_kib: int
    cpu_s: float


def tree(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                yield from tree(int(child))
    except FileNotFoundError:
        return  # it ended while it was looked at


def figures(pid: int) -> ProcessFigures | None:
    """How a process stands; None if it has gone."""
    of = Path(f"/proc/{pid}")
    try:
        return ProcessFigures(
            descriptors=len(os.listdir(of / "fd")),  # noqa: PTH208 - names are enough
            resident_kib=int((of / "statm").read_text(encoding="ascii").split()[1]) * _PAGE_KIB,
            cpu_s=cpu_ns(pid) / 1e9,
        )
    except (FileNotFoundError, ProcessLookupError):
        return None


def cpu_ns(pid: int) -> int:
    """Time that all threads of a process have had on a processor, as the scheduler counts it."""
    return sum(
        int((task / "schedstat").read_text(encoding="ascii").split()[0])
        for task in Path(f"/proc/{pid}/task").iterdir()
    )


def established_ends(listeners: Collection[tuple[str, int]]) -> int:
    """Ends of established connections on this machine of which one end is a listener's address and port.

    The kernel may list an end twice while others come and go.
    """
    wanted = {f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}" for address, port in listeners}
    with Path("/proc/net/tcp").open(encoding="ascii") as lines:
        next(lines)
        rows = (line.split(maxsplit=4) for line in lines)
        ends = {
            (local, remote)
            for _, local, remote, state, _ in rows
            if state == _ESTABLISHED and (local in wanted or remote in wanted)
        }
    return len(ends)
