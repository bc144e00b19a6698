"""Samba's RPC server in a network namespace of its own: MGMT and LSA on plain TCP, with NTLM and SPNEGO."""

import ctypes
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

USER, PASSWORD, SERVER = "games", "Passw0rd!", "EXCH01"
"""Samba wants a user whom the system knows."""
PORT = 49152
_PROGRAMS = Path("/usr/libexec/samba")
_ENDPOINTS = ("rpcd_epmapper", "rpcd_lsad")
_START_S, _STOP_S = 30.0, 10.0
_POLL_S = 0.05
_OWN_NETWORK = Path("/proc/self/ns/net")
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_OPTIONS = (
    "workgroup = CONTOSO\n"
    "netbios name = EXCH01\n"
    "server role = standalone server\n"
    "rpc start on demand helpers = false\n"  # else it only runs at the request of smbd
)
_FOLDERS = ("private dir", "lock directory", "state directory", "cache directory", "pid directory")

needs_samba_server = pytest.mark.skipif(
    os.geteuid() != 0 or not (_PROGRAMS / "samba-dcerpcd").exists() or shutil.which("smbpasswd") is None,
    reason="needs root and Debian's package samba",
)


@contextmanager
def running_samba(folder: Path) -> Iterator["SambaServer"]:
    """A server that has nothing to do with any other one on this machine."""
    configuration = folder / "smb.conf"
    folders = "".join(f"{name} = {folder}\n" for name in _FOLDERS)
    configuration.write_text(
        f"[global]\n{_OPTIONS}{folders}ncalrpc dir = {folder}/ncalrpc\nlog file = {folder}/log\n",
        encoding="ascii",
    )
    subprocess.run(
        ["smbpasswd", "-c", configuration, "-a", "-s", USER],
        input=f"{PASSWORD}\n{PASSWORD}\n".encode(),
        check=True,
        capture_output=True,
        timeout=_START_S,
    )
    programs = [str(_PROGRAMS / name) for name in ("samba-dcerpcd", *_ENDPOINTS)]
    listen = f"ip link set lo up; exec {programs[0]} -s {configuration} -F {' '.join(programs[1:])}"
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", listen], stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        server = SambaServer(process.pid)
        server.wait()
        yield server
    finally:
        process.terminate()
        process.wait(_STOP_S)


class SambaServer:
    """One that runs as process ``pid``, alone in its network."""

    def __init__(self, pid: int) -> None:
        self._network = Path(f"/proc/{pid}/ns/net")

    def wait(self) -> None:
        """Until it listens."""
        deadline = time.monotonic() + _START_S
        while not self._listens():
            assert time.monotonic() < deadline, "samba-dcerpcd does not listen"
            time.sleep(_POLL_S)

    def _listens(self) -> bool:
        if self._network.readlink() == _OWN_NETWORK.readlink():
            return False  # it is not there yet
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def connect(self, port: int = PORT) -> socket.socket:
        """A connection to it, made by a thread that enters its network."""
        made: list[socket.socket | OSError] = []

        def enter() -> None:
            with self._network.open("rb") as network:
                assert ctypes.CDLL(None).setns(network.fileno(), _NEW_NETWORK) == 0
            try:
                made.append(socket.create_connection(("127.0.0.1", port), timeout=_STOP_S))
            except OSError as error:
                made.append(error)

        thread = Thread(target=enter)
        thread.start()
        thread.join()
        (connection,) = made
        if isinstance(connection, OSError):
            raise connection
        return connection
