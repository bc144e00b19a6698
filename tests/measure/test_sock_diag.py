import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from loadgen.measure import sock_diag
from loadgen.measure.sock_diag import Host, KernelCountError, Rule, bytecode, count_established

STORE, PUBLIC, CAS, OTHER = "127.43.1.1", "127.43.1.2", "127.43.1.3", "127.43.1.4"

# linux/inet_diag.h by hand. An op: code, yes, no (little-endian u16); JMP is 1, S_COND 7, D_COND 8. A
# condition: family 2, prefix 32, two bytes of padding, port (i32, -1 for any), address.
ANY_PORT_OF_CAS = "0220 0000 ffffffff 7f2b0103"
STORE_6001 = "0220 0000 71170000 7f2b0101"
PUBLIC_6001 = "0220 0000 71170000 7f2b0102"


@pytest.mark.parametrize(
    ("rules", "program"),
    [
        ((Rule(local=Host(STORE, 6001)),), f"07 10 1400 {STORE_6001}"),
        ((Rule(remote=Host(STORE, 6001)),), f"08 10 1400 {STORE_6001}"),
        (
            (Rule(local=Host(CAS), remote=Host(STORE, 6001)),),
            f"07 10 2400 {ANY_PORT_OF_CAS} 08 10 1400 {STORE_6001}",
        ),
        (
            (Rule(local=Host(STORE, 6001)), Rule(local=Host(PUBLIC, 6001))),
            f"07 10 1400 {STORE_6001} 01 04 1400 07 10 1400 {PUBLIC_6001}",
        ),
    ],
)
def test_the_filter_is_a_program_of_jumps(rules, program):
    assert bytecode(rules) == bytes.fromhex(program)


@pytest.fixture
def port() -> Iterator[int]:
    """Two servers on one port: five connections to the first, three to the second."""
    with ExitStack() as stack:
        store = stack.enter_context(socket.create_server((STORE, 0)))
        port = store.getsockname()[1]
        public = stack.enter_context(socket.create_server((PUBLIC, port)))
        for server, address, count in ((store, CAS, 4), (store, OTHER, 1), (public, CAS, 3)):
            for _ in range(count):
                target = server.getsockname()
                stack.enter_context(socket.create_connection(target, source_address=(address, 0)))
                stack.enter_context(server.accept()[0])
        yield port


def test_the_kernel_counts_ends_by_address_and_port(port):
    store, public, cas = Host(STORE, port), Host(PUBLIC, port), Host(CAS)
    cases = [
        ((), 0),
        ((Rule(local=store),), 5),
        ((Rule(remote=store),), 5),
        ((Rule(local=cas, remote=store),), 4),
        ((Rule(local=cas, remote=store), Rule(local=cas, remote=public)), 7),
        ((Rule(local=store), Rule(local=public), Rule(local=Host(OTHER))), 9),
        ((Rule(local=store), Rule(local=store)), 5),
        ((Rule(local=Host(STORE, port + 1)),), 0),
        ((Rule(local=Host(CAS, 1), remote=store), Rule(remote=public)), 3),
    ]
    assert [count_established(rules) for rules, _ in cases] == [count for _, count in cases]


def test_only_established_connections_count(port):
    client = socket.create_connection((STORE, port), source_address=(OTHER, 0))
    assert count_established([Rule(local=Host(OTHER))]) == 2
    client.close()
    assert count_established([Rule(local=Host(OTHER))]) == 1


class RefusingKernel:
    """A netlink socket whose kernel has no sock_diag: NLMSG_ERROR with ENOENT."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> "RefusingKernel":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def settimeout(self, _: float) -> None:
        pass

    def sendto(self, *_: object) -> None:
        pass

    def recv(self, _: int) -> bytes:
        return bytes.fromhex("24000000 0200 0000 01000000 00000000 feffffff") + bytes(16)


def test_a_kernel_that_refuses_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setattr(socket, "socket", RefusingKernel)
    with pytest.raises(
        KernelCountError, match=rf"^sock_diag: \[Errno {errno.ENOENT}\] No such file or directory"
    ):
        count_established([Rule(local=Host(CAS))])
    assert KernelCountError.outcome == "kernel_count_failed"


def test_many_connections_come_in_several_messages(port):
    with ExitStack() as stack:
        with socket.create_server((OTHER, 0), backlog=700) as server:
            for _ in range(600):
                stack.enter_context(socket.create_connection(server.getsockname()))
                stack.enter_context(server.accept()[0])
            rules = [Rule(local=Host(*server.getsockname()))]
        assert count_established(rules) == 600
        assert sock_diag._RECEIVE_SIZE > 65536
