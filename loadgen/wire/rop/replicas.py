"""Servers with a replica of a public folder ([MS-OXCFOLD] 2.2.1.1, [MS-OXCSTOR] 2.2.1.6 and 2.2.1.7)."""

from typing import Annotated, Self, TypeAlias

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer


class ReplicaServers(msgspec.Struct, frozen=True):
    """Names of servers; the first ``cheap_count`` of them cost the least to reach."""

    cheap_count: int
    names: tuple[str, ...]

    @classmethod
    def read(cls, reader: Reader, field: str) -> Self:
        """Two counts, then the names; raises :class:`WireError`."""
        count, cheap_count = reader.u16(field), reader.u16(field)
        if cheap_count > count:
            raise WireError(field, reader.offset - 2, f"{cheap_count} of {count} servers are cheap")
        return cls(cheap_count, tuple(reader.asciiz(field) for _ in range(count)))

    def write(self, writer: Writer) -> None:
        """Two counts, then the names."""
        writer.u16(len(self.names))
        writer.u16(self.cheap_count)
        for name in self.names:
            writer.asciiz(name)


class ReplicasForm:
    """Always there."""

    def read(self, reader: Reader, field: str) -> ReplicaServers:
        """The servers; raises :class:`WireError`."""
        return ReplicaServers.read(reader, field)

    def write(self, writer: Writer, value: ReplicaServers) -> None:
        """The servers."""
        value.write(writer)


class GhostedReplicasForm:
    """IsGhosted and, if the folder's content is elsewhere, where; None for a folder whose content is here."""

    def read(self, reader: Reader, field: str) -> ReplicaServers | None:
        """The servers, if any; raises :class:`WireError`."""
        return ReplicaServers.read(reader, field) if reader.u8(field) else None

    def write(self, writer: Writer, value: ReplicaServers | None) -> None:
        """IsGhosted and the servers, if any."""
        writer.u8(value is not None)
        if value is not None:
            value.write(writer)


Replicas: TypeAlias = Annotated[ReplicaServers, ReplicasForm()]
GhostedReplicas: TypeAlias = Annotated[ReplicaServers | None, GhostedReplicasForm()]
