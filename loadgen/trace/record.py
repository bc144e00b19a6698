"""What a trace says: one record for each HTTP head, each PDU, and whatever else goes by."""

from typing import Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal["HTTP", "RTS", "RPC", "body", "bytes"]


class Record(Struct, frozen=True):
    """One thing that was sent or received.

    ``name`` is the specification's where there is one; ``lines`` are the headers of an HTTP head.
    """

    kind: Kind
    name: str
    size: int
    detail: str = ""
    lines: tuple[str, ...] = ()
