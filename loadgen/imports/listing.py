"""Lists of TCP connections as Windows and Linux print them, line by line.

``netstat`` of both (``-an``, ``-ano``), ``ss -tan``, ``Get-NetTCPConnection`` (table, CSV), TCPView (text,
CSV).
"""

import csv
import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, NamedTuple

from loadgen.errors import ProfileError

Address = IPv4Address | IPv6Address


class Connection(NamedTuple):
    """An established connection as one end sees it."""

    local: Address
    local_port: int
    remote: Address
    remote_port: int


class ListingError(ProfileError):
    """What is wrong with a list, with file and line."""


_ESTABLISHED: Final = frozenset({"ESTABLISHED", "ESTAB", "5"})
_OTHER_STATES: Final = frozenset(
    {"LISTEN", "LISTENING", "BOUND", "CLOSED", "CLOSING", "CLOSEWAIT", "FINWAIT1", "FINWAIT2", "LASTACK"}
    | {"SYNSENT", "SYNRECV", "SYNRECEIVED", "SYNRCVD", "NEWSYNRECV", "TIMEWAIT", "UNCONN", "DELETETCB"}
    | {"1", "2", "3", "4", "6", "7", "8", "9", "10", "11", "12", "100"}
)
"""As the tools write them, without what is between; numbers are those of MSFT_NetTCPConnection."""
_PORTS: Final = {"http": 80, "https": 443, "epmap": 135, "ldap": 389, "http-rpc-epmap": 593}
"""The names that TCPView and netstat put for ports which matter here."""
_TCP: Final = frozenset({"tcp", "tcp4", "tcp6", "tcpv6"})
_LOCAL_ADDRESS: Final = "localaddress"
_OTHER_PROTOCOL: Final = re.compile(
    r"(?:^|[\s,;\"])(udp|udpv?6|unix|raw6?|icmp6?)(?:[\s,;\"]|$)", re.IGNORECASE
)
_HEADING: Final = re.compile(r"\s*(active|proto|#|\[|netid|state\s|localaddress|-{4})", re.IGNORECASE)
_COMPONENT: Final = re.compile(r"\s*[\w .:-]+\s*")
"""What ``netstat -b`` puts between: the name of a program or service."""

Cells = tuple[str, str, str, str, str]
"""Local address and port, remote address and port, state."""


def read_listing(path: Path) -> Iterator[Connection]:
    """The established connections of a list, each once; raises :class:`ListingError`."""
    seen: set[Connection] = set()
    is_empty = True
    for line, cells in _cells(path):
        is_empty = False
        if not _is_established(path, line, cells[4]):
            continue
        connection = Connection(
            _address(path, line, cells[0]),
            _port(path, line, cells[1]),
            _address(path, line, cells[2]),
            _port(path, line, cells[3]),
        )
        if connection not in seen:
            seen.add(connection)
            yield connection
    if is_empty:
        raise ListingError(
            f"{path}: no TCP connection in it; known are netstat -an, ss -tan, Get-NetTCPConnection, TCPView"
        )


def _cells(path: Path) -> Iterator[tuple[int, Cells]]:
    names: list[str] = []
    separator = ""
    has_begun = False
    for number, line in enumerate(_lines(path), 1):
        if not names and (found := _header(line)):
            names, separator = found
            continue
        if _OTHER_PROTOCOL.search(line):
            continue
        if names:
            cells = _of_table(next(csv.reader([line], delimiter=separator)), names)
        else:
            cells = _of_tcpview(line) or _of_words(line.split())
        if cells is not None:
            has_begun = True
            yield number, cells
        elif has_begun and not _is_aside(line):
            raise ListingError(f"{path}: line {number}: {line.strip()[:60]!r} is no connection")


def _lines(path: Path) -> Iterator[str]:
    """PowerShell redirects into UTF-16."""
    try:
        with path.open("rb") as file:
            head = file.read(2)
        encoding = "utf-16" if head in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        with path.open(encoding=encoding, errors="replace") as text:
            yield from (line.rstrip("\n") for line in text)
    except OSError as error:
        raise ListingError(f"{path}: {error.strerror}") from None


def _header(line: str) -> tuple[list[str], str] | None:
    """The columns of a table with separators: Export-Csv, or what TCPView saves."""
    for separator in ("\t", ",", ";"):
        names = [re.sub(r"\W", "", cell).lower() for cell in next(csv.reader([line], delimiter=separator))]
        if _LOCAL_ADDRESS in names:
            return names, separator
    return None


def _of_table(cells: Sequence[str], names: Sequence[str]) -> Cells | None:
    row = dict(zip(names, (cell.strip() for cell in cells), strict=False))
    if not row.get(_LOCAL_ADDRESS) or row.get("protocol", "tcp").lower() not in _TCP:
        return None
    return (
        row[_LOCAL_ADDRESS],
        row.get("localport", ""),
        row.get("remoteaddress", ""),
        row.get("remoteport", ""),
        row.get("state", ""),
    )


def _of_tcpview(line: str) -> Cells | None:
    """Older versions save without a header; ``tcpvcon -c`` has addresses and ports in one."""
    cells = [cell.strip() for cell in line.split("\t")]
    if len(cells) >= 8 and cells[2].lower() in _TCP:
        return cells[3], cells[4], cells[5], cells[6], cells[7]
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) == 6 and cells[0].lower() in _TCP:
        return *_halves(cells[4]), *_halves(cells[5]), cells[3]
    return None


def _of_words(words: Sequence[str]) -> Cells | None:
    if len(words) < 4:
        return None
    if words[0].lower() in _TCP:
        if words[1].isdecimal() and len(words) >= 6:
            return *_halves(words[3]), *_halves(words[4]), words[5]
        if _state(words[1]) in _ESTABLISHED | _OTHER_STATES and len(words) >= 6:
            return *_halves(words[4]), *_halves(words[5]), words[1]
        return *_halves(words[1]), *_halves(words[2]), words[3]
    if len(words) >= 5 and words[1].isdecimal() and words[3].isdecimal():
        return words[0], words[1], words[2], words[3], words[4]
    if words[0].isdecimal() and words[1].isdecimal() and ":" in words[2]:
        return *_halves(words[2]), *_halves(words[3]), "ESTAB"
    if len(words) >= 5 and words[1].isdecimal() and words[2].isdecimal() and ":" in words[3]:
        return *_halves(words[3]), *_halves(words[4]), words[0]
    return None


def _halves(text: str) -> tuple[str, str]:
    address, _, port = text.rpartition(":")
    return address, port


def _is_aside(line: str) -> bool:
    return not line.strip() or bool(_HEADING.match(line)) or bool(_COMPONENT.fullmatch(line))


def _state(text: str) -> str:
    return re.sub(r"[-_ ]", "", text).upper()


def _is_established(path: Path, line: int, text: str) -> bool:
    state = _state(text)
    if state in _ESTABLISHED:
        return True
    if state in _OTHER_STATES:
        return False
    raise ListingError(
        f"{path}: line {line}: state {text!r} is in no list of states; on a Windows in another language take "
        "Get-NetTCPConnection, which says Established everywhere"
    )


def _address(path: Path, line: int, text: str) -> Address:
    """Without zone and brackets; IPv4 addresses within IPv6 are IPv4."""
    plain = text.strip("[]").partition("%")[0]
    try:
        address = ip_address(plain)
    except ValueError:
        cut = " and was cut off: print it wider, or use Export-Csv" if plain.endswith(("...", "…")) else ""
        raise ListingError(
            f"{path}: line {line}: {text!r} is no address{cut or '; list numbers, not names (netstat -n)'}"
        ) from None
    return getattr(address, "ipv4_mapped", None) or address


def _port(path: Path, line: int, text: str) -> int:
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    if text.lower() in _PORTS:
        return _PORTS[text.lower()]
    raise ListingError(f"{path}: line {line}: {text!r} is no port; list numbers, not names (netstat -n)")
