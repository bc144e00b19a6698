"""A mock organisation for tests: real processes on loopback addresses of their own, gone with the tests."""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from loadgen.client.account import Account, RpcProxy
from loadgen.client.organisation import Organisation
from loadgen.measure.connections import Counter, KernelCounter, MockCounter, organisation_filters

_START_S = 30.0
_STOP_S = 10.0
_STRICT = {"PYTHONWARNINGS": "error,ignore::ResourceWarning"}
"""Warnings are errors, but for sockets open at the end of a process, which the kernel closes."""


@dataclass(frozen=True)
class MockOrganisation:
    """One that runs. ``folder`` holds what it says on standard error."""

    organisation: Organisation
    base_address: str
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def network(self) -> str:
        """All its addresses, as capture filters write them."""
        return f"{self.base_address}/24"

    @property
    def host(self) -> str:
        """The address of the first client access server."""
        return self.organisation.cas[0].address

    @property
    def port(self) -> int:
        """The HTTP port of the first client access server."""
        return self.organisation.cas[0].port

    @property
    def proxy(self) -> RpcProxy:
        """The first client access server, as clients name it."""
        return self.organisation.proxies[0]

    def account(self, index: int) -> Account:
        """User number ``index``."""
        return self.organisation.account(index)

    def counters(self) -> dict[str, Any]:
        """What the roles count at this moment."""
        url = f"{self.organisation.counters_url}/counters"
        with urllib.request.urlopen(url, timeout=5) as answer:
            counters: dict[str, Any] = json.load(answer)
        return counters

    def connections(self) -> dict[str, int]:
        """The connections that the roles count, by column."""
        connections: dict[str, int] = self.counters()["connections"]
        return connections

    def counting(self) -> dict[str, Counter]:
        """The kernel and the roles, as they count connections independently of each other."""
        filters = organisation_filters(msgspec.to_builtins(self.organisation))
        return {"kernel": KernelCounter(filters), "mock": MockCounter(self.organisation.counters_url)}

    def wait_until_idle(self) -> None:
        """Until the roles count no connection any more: each hop hears of an end from the one before it."""
        deadline = time.monotonic() + _STOP_S
        while (connections := self.connections()) and any(connections.values()):
            assert time.monotonic() < deadline, f"connections were left open: {connections}"
            time.sleep(0.02)

    def role_process(self, name: str) -> int:
        """The process id of the server called ``name``."""
        tasks = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in tasks.read_text(encoding="ascii").split():
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if name.encode() in arguments:
                return int(pid)
        raise LookupError(name)

    def complaints(self) -> str:
        """What its processes have said on standard error: nothing, if all is well."""
        return (self.folder / "stderr").read_text(encoding="utf-8")


@contextmanager
def running_mock(
    folder: Path, *arguments: str, users: int = 20, fatal: bool = False
) -> Iterator[MockOrganisation]:
    """Start an organisation and stop it surely; a warning, a trace or a process left behind is an error.

    ``arguments`` are those of ``python -m mock_server``; the addresses are free ones. ``fatal``: the test
    does to it what it does not survive.
    """
    with _leased_base_address() as base_address:
        mock = _start(folder, base_address, users, arguments)
        try:
            yield mock
        finally:
            _stop(mock.process)
        if not fatal:
            assert mock.complaints() == ""
            assert mock.process.returncode == 0
        assert _listeners(base_address) == []


def _start(folder: Path, base_address: str, users: int, arguments: tuple[str, ...]) -> MockOrganisation:
    command = [sys.executable, "-m", "mock_server", "--json", "--users", str(users)]
    command += ["--base-address", base_address, *arguments]
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | _STRICT,
            start_new_session=True,
        )
    try:
        line = _first_line(process)
        assert line, (folder / "stderr").read_text(encoding="utf-8")
        return MockOrganisation(Organisation.decode(line, "the mock"), base_address, process, folder)
    except BaseException:
        _stop(process)
        raise


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        assert selector.select(_START_S), f"the mock does not listen after {_START_S:.0f} s"
    return process.stdout.readline()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """The end of standard input asks it to stop, and its processes end with it however it ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process.stdout.close()


@contextmanager
def _leased_base_address() -> Iterator[str]:
    """Addresses that no other test on this machine has, whichever process it runs in.

    The lease is an abstract Unix socket: it ends with the process that holds it, and network namespaces,
    which have addresses of their own, have leases of their own.
    """
    for second, third in product(range(220, 254), range(256)):
        base_address = f"127.{second}.{third}.0"
        with socket.socket(socket.AF_UNIX) as lease:
            try:
                lease.bind(f"\0outlook-loadgen-test-{base_address}")
            except OSError:
                continue
            yield base_address
            return
    raise AssertionError("all loopback addresses for tests are taken")


def _listeners(base_address: str) -> list[str]:
    """The listening sockets on the organisation's addresses; ends of processes take a moment to show."""
    prefix = socket.inet_aton(base_address)[:3]
    deadline = time.monotonic() + _STOP_S
    while True:
        found = []
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A" and bytes.fromhex(local[:8])[::-1][:3] == prefix:
                found.append(line)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)
