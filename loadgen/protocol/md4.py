"""MD4 ([RFC 1320]), which libraries have dropped and NTLM makes of passwords ([MS-NLMP] 3.3.1, NTOWFv1)."""

from collections.abc import Callable
from struct import Struct
from typing import Final

_BLOCK: Final = Struct("<16I")
_STATE: Final = Struct("<4I")
_LENGTH: Final = Struct("<Q")
_INITIAL: Final = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_MASK: Final = 0xFFFFFFFF

_Mix = Callable[[int, int, int], int]
_ROUNDS: Final[tuple[tuple[_Mix, int, tuple[int, ...], tuple[int, ...]], ...]] = (
    (lambda x, y, z: x & y | ~x & z, 0, tuple(range(16)), (3, 7, 11, 19)),
    (
        lambda x, y, z: x & y | x & z | y & z,
        0x5A827999,
        (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
        (3, 5, 9, 13),
    ),
    (
        lambda x, y, z: x ^ y ^ z,
        0x6ED9EBA1,
        (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15),
        (3, 9, 11, 15),
    ),
)
"""Of each round: its function, its constant, the order of the words, how far results are rotated."""


def md4(data: bytes) -> bytes:
    """The 16 bytes of the digest."""
    padded = data + b"\x80" + bytes(-(len(data) + 9) % 64) + _LENGTH.pack(8 * len(data))
    state: tuple[int, ...] = _INITIAL
    for offset in range(0, len(padded), _BLOCK.size):
        words = _BLOCK.unpack_from(padded, offset)
        a, b, c, d = state
        for mix, constant, order, shifts in _ROUNDS:
            for step, index in enumerate(order):
                total = (a + mix(b, c, d) + words[index] + constant) & _MASK
                shift = shifts[step % 4]
                a, b, c, d = d, (total << shift | total >> (32 - shift)) & _MASK, b, c
        state = tuple((x + y) & _MASK for x, y in zip(state, (a, b, c, d), strict=True))
    return _STATE.pack(*state)
