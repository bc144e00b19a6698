"""LZ77 with DIRECT2 encoding ([MS-OXCRPC] 3.1.4.11.1), the plain LZ77 of [MS-XCA].

The stream is made of 32-bit indicators, each followed by the 32 items that its bits describe, the highest
bit first: 0 for a literal byte, 1 for a match. A match is 16 bits, the distance above three bits of length;
longer lengths go on in a nibble (two matches share a byte), then a byte, then 16 or 32 bits.
"""

from struct import Struct, error

from loadgen.errors import WireError

_U16 = Struct("<H")
_U32 = Struct("<I")

_INDICATOR_BITS = 32
_WINDOW = 8192
_SHORTEST_MATCH = 3
_LONGEST_MATCH = 0xFFFF + _SHORTEST_MATCH
_IN_WORD = 7
_IN_NIBBLE = 15
_IN_BYTE = 255
_COMPARED_AT_ONCE = 32


def decompress(data: bytes, size: int) -> bytes:
    """The ``size`` bytes that ``data`` stands for; raises :class:`WireError` if it holds less or more."""
    try:
        return _Decoder(data, size).run()
    except (IndexError, error):
        raise WireError("compressed payload", len(data), "ends early") from None


class _Decoder:
    """Where one decompression stands."""

    __slots__ = ("data", "nibble_at", "out", "position", "size")

    def __init__(self, data: bytes, size: int) -> None:
        self.data = data
        self.size = size
        self.out = bytearray()
        self.position = 0
        self.nibble_at = -1

    def run(self) -> bytes:
        """All items until ``size`` bytes are there."""
        data, out, size = self.data, self.out, self.size
        while len(out) < size:
            (indicator,) = _U32.unpack_from(data, self.position)
            self.position += 4
            bits = _INDICATOR_BITS
            while bits and len(out) < size:
                literals = min(bits - indicator.bit_length(), size - len(out))
                if literals:
                    self._copy_literals(literals)
                    bits -= literals
                    continue
                bits -= 1
                indicator -= 1 << bits
                self._copy_match()
        rest = data[self.position :]
        if rest and rest != b"\xff\xff\xff\xff":  # an indicator without items may end the stream
            raise WireError("compressed payload", self.position, f"{len(rest)} bytes left over")
        return bytes(out)

    def _copy_literals(self, count: int) -> None:
        end = self.position + count
        if end > len(self.data):
            raise IndexError
        self.out += self.data[self.position : end]
        self.position = end

    def _copy_match(self) -> None:
        (match,) = _U16.unpack_from(self.data, self.position)
        self.position += 2
        distance = (match >> 3) + 1
        length = match & 7
        if length == _IN_WORD:
            length += self._read_longer()
        length += _SHORTEST_MATCH
        out = self.out
        start = len(out) - distance
        if start < 0 or len(out) + length > self.size:
            raise WireError("compressed payload", self.position, f"match of {length} bytes, {distance} back")
        if length <= distance:
            out += out[start : start + length]
        else:
            out += (out[start:] * (length // distance + 1))[:length]

    def _read_longer(self) -> int:
        """What a length has beyond the seven that the 16 bits of a match can say."""
        data = self.data
        if self.nibble_at < 0:
            self.nibble_at = self.position
            length = data[self.position] & _IN_NIBBLE
            self.position += 1
        else:
            length = data[self.nibble_at] >> 4
            self.nibble_at = -1
        if length < _IN_NIBBLE:
            return length
        length = data[self.position]
        self.position += 1
        if length < _IN_BYTE:
            return length + _IN_NIBBLE
        (length,) = _U16.unpack_from(data, self.position)
        self.position += 2
        if length == 0:
            (length,) = _U32.unpack_from(data, self.position)
            self.position += 4
        if length < _IN_WORD + _IN_NIBBLE:
            raise WireError("compressed payload", self.position, f"length {length} belongs in a nibble")
        return int(length) - _IN_WORD


def compress(data: bytes) -> bytes:
    """The stream for ``data``; it may be longer than that."""
    return _Encoder(data).run()


class _Encoder:
    """Where one compression stands."""

    __slots__ = ("data", "nibble_at", "out")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.out = bytearray()
        self.nibble_at = -1

    def run(self) -> bytes:
        """Greedy: each match starts where the next three bytes stood last, and goes as far as it can."""
        data, out = self.data, self.out
        size = len(data)
        latest: dict[bytes, int] = {}
        position = indicator_at = bits = 0
        indicator = 0
        out += bytes(4)
        while position < size:
            key = data[position : position + _SHORTEST_MATCH]
            candidate = latest.get(key, -1)
            if candidate >= 0 and position - candidate <= _WINDOW and len(key) == _SHORTEST_MATCH:
                end = self._end_of_match(candidate, position)
                self._write_match(position - candidate, end - position)
                for start in range(position, end):
                    latest[data[start : start + _SHORTEST_MATCH]] = start
                position = end
                indicator = indicator << 1 | 1
            else:
                latest[key] = position
                out.append(data[position])
                position += 1
                indicator <<= 1
            bits += 1
            if bits == _INDICATOR_BITS:
                _U32.pack_into(out, indicator_at, indicator)
                indicator_at = len(out)
                out += bytes(4)
                indicator = bits = 0
        unused = _INDICATOR_BITS - bits
        _U32.pack_into(out, indicator_at, indicator << unused | (1 << unused) - 1)
        return bytes(out)

    def _end_of_match(self, candidate: int, position: int) -> int:
        data = self.data
        limit = min(len(data), position + _LONGEST_MATCH)
        distance = position - candidate
        end = position + _SHORTEST_MATCH
        step = _COMPARED_AT_ONCE
        while end + step <= limit and data[end : end + step] == data[end - distance : end - distance + step]:
            end += step
        while end < limit and data[end] == data[end - distance]:
            end += 1
        return end

    def _write_match(self, distance: int, match_length: int) -> None:
        out = self.out
        length = match_length - _SHORTEST_MATCH
        out += _U16.pack(distance - 1 << 3 | min(length, _IN_WORD))
        if length < _IN_WORD:
            return
        longer = length - _IN_WORD
        self._write_nibble(min(longer, _IN_NIBBLE))
        if longer < _IN_NIBBLE:
            return
        longer -= _IN_NIBBLE
        out.append(min(longer, _IN_BYTE))
        if longer >= _IN_BYTE:
            out += _U16.pack(length)

    def _write_nibble(self, nibble: int) -> None:
        if self.nibble_at < 0:
            self.nibble_at = len(self.out)
            self.out.append(nibble)
        else:
            self.out[self.nibble_at] |= nibble << 4
            self.nibble_at = -1
