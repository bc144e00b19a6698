"""What a client says of itself when it opens a virtual connection ([MS-RPCH] 2.2.4.2 and 2.2.4.5)."""

from os import urandom
from typing import Final, Self

from msgspec import Struct

from loadgen.errors import ProfileError

COOKIE_SIZE: Final = 16
RTS_RESERVE: Final = 1024
"""What RPC PDUs leave of an IN channel for RTS PDUs: 17 acknowledgements and IN_R1/A5."""

_SHORTEST_LIFETIME: Final = 8192
_SHORTEST_LIFE: Final = 2048


class Cookies(Struct, frozen=True, gc=False):
    """The names that a client gives, 16 bytes each."""

    virtual_connection: bytes
    in_channel: bytes
    out_channel: bytes
    association_group: bytes

    @classmethod
    def random(cls) -> Self:
        """New ones."""
        return cls(*(urandom(COOKIE_SIZE) for _ in range(4)))


class RtsOptions(Struct, frozen=True, gc=False):
    """What a client announces and how long it waits; the defaults are those of Windows.

    ``channel_lifetime`` is how many bytes may go up an IN channel, RTS PDUs included: 131072 to 2147483648
    for a real server, but 8192 are enough for the protocol. When ``recycle_margin`` of them or fewer are
    left, a successor is opened. ``client_keepalive_ms`` is at least 60000, or 0 for 300000. Raises
    :class:`ProfileError` if no channel could live.
    """

    receive_window: int = 65536
    channel_lifetime: int = 1 << 30
    recycle_margin: int = 4096
    client_keepalive_ms: int = 300_000
    establishment_timeout_s: float = 60.0
    recycle_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        lifetime, margin = self.channel_lifetime, self.recycle_margin
        if lifetime < _SHORTEST_LIFETIME:
            raise ProfileError(f"channel_lifetime {lifetime} is less than {_SHORTEST_LIFETIME}")
        longest_margin = lifetime - _SHORTEST_LIFE
        if not RTS_RESERVE <= margin <= longest_margin:
            raise ProfileError(
                f"recycle_margin {margin} is not between {RTS_RESERVE} and {longest_margin}, "
                f"for a channel_lifetime of {lifetime}"
            )
