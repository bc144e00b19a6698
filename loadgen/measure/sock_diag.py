"""Established TCP connections as the kernel counts them: NETLINK_SOCK_DIAG with a filter run in the kernel.

``man 7 sock_diag``; the filter's byte code is described in ``linux/inet_diag.h``. IPv4 only.
"""

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from loadgen.errors import LoadgenError

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST_DUMP: Final = 0x301
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_INET_DIAG_REQ_BYTECODE: Final = 1
_BC_JMP: Final = 1
_BC_S_COND: Final = 7
_BC_D_COND: Final = 8
_ESTABLISHED: Final = 1 << 1
_ANY_PORT: Final = -1

_NLMSGHDR: Final = struct.Struct("=IHHII")
_INET_DIAG_REQ_V2: Final = struct.Struct("=BBBxI48x")
_NLATTR: Final = struct.Struct("=HH")
_BC_OP: Final = struct.Struct("=BBH")
_HOSTCOND: Final = struct.Struct("=BBxxi4s")
_ERRNO: Final = struct.Struct("=i")
_COND_SIZE: Final = _BC_OP.size + _HOSTCOND.size
_RECEIVE_SIZE: Final = 1 << 18


class KernelCountError(LoadgenError):
    """The kernel would not or could not say which connections there are."""

    outcome = "kernel_count_failed"


class Host(msgspec.Struct, frozen=True, gc=False):
    """One end of a connection; without a port, any port of the address."""

    address: str
    port: int | None = None


class Rule(msgspec.Struct, frozen=True, gc=False):
    """Connection ends by their own address (``local``), the other end's (``remote``), or both."""

    local: Host | None = None
    remote: Host | None = None


def count_established(rules: Sequence[Rule]) -> int:
    """How many ends of established connections on this machine match any of the rules.

    Blocks for some milliseconds, so call it in a thread. Raises :class:`KernelCountError`.
    """
    if not rules:
        return 0
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(2.0)
            netlink.sendto(_request(rules), (0, 0))
            return sum(1 for _ in _answers(netlink))
    except OSError as error:
        raise KernelCountError(f"sock_diag: {error}") from error


def bytecode(rules: Sequence[Rule]) -> bytes:
    """A program of conditional jumps forward: landing on its end accepts, beyond it rejects.

    Conditions of a rule follow each other, and a jump to the end comes after the last; a condition that fails
    jumps to the next rule, or out.
    """
    parts = [[_condition(*side) for side in _sides(rule)] for rule in rules]
    lengths = [len(conditions) * _COND_SIZE + _BC_OP.size for conditions in parts]
    lengths[-1] -= _BC_OP.size
    total, here, program = sum(lengths), 0, bytearray()
    for conditions, length in zip(parts, lengths, strict=True):
        last = here + length == total
        next_rule = total + _BC_OP.size if last else here + length
        for code, host in conditions:
            program += _BC_OP.pack(code, _COND_SIZE, next_rule - len(program)) + host
        if not last:
            program += _BC_OP.pack(_BC_JMP, _BC_OP.size, total - len(program))
        here += length
    return bytes(program)


def _sides(rule: Rule) -> Iterator[tuple[int, Host]]:
    if rule.local is not None:
        yield _BC_S_COND, rule.local
    if rule.remote is not None:
        yield _BC_D_COND, rule.remote


def _condition(code: int, host: Host) -> tuple[int, bytes]:
    port = _ANY_PORT if host.port is None else host.port
    return code, _HOSTCOND.pack(socket.AF_INET, 32, port, socket.inet_aton(host.address))


def _request(rules: Sequence[Rule]) -> bytes:
    program = bytecode(rules)
    body = (
        _INET_DIAG_REQ_V2.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, _ESTABLISHED)
        + _NLATTR.pack(_NLATTR.size + len(program), _INET_DIAG_REQ_BYTECODE)
        + program
    )
    header = _NLMSGHDR.pack(_NLMSGHDR.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_DUMP, 1, 0)
    return header + body


def _answers(netlink: socket.socket) -> Iterator[int]:
    """Yields once for each connection end, until the kernel says that it is done."""
    while True:
        data = netlink.recv(_RECEIVE_SIZE)
        offset = 0
        while offset < len(data):
            length, kind, _, _, _ = _NLMSGHDR.unpack_from(data, offset)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                (code,) = _ERRNO.unpack_from(data, offset + _NLMSGHDR.size)
                raise OSError(-code, os.strerror(-code))
            yield length
            offset += (length + 3) & ~3
