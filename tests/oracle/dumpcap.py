"""Packets of the loopback interface, recorded by Wireshark's dumpcap."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_dumpcap = pytest.mark.skipif(
    shutil.which("dumpcap") is None or os.geteuid() != 0,
    reason="capturing needs dumpcap (apt-get install tshark) and root",
)

_BUFFER_MIB = 64
_PATIENCE_S = 20.0
_DISCARD_PORT = 9


@contextmanager
def capturing(file: Path, network: str, address: str) -> Iterator[None]:
    """Record in ``file`` (pcapng) what goes to or from ``network``, in which ``address`` lies.

    Complete when the context ends without an error: nothing was dropped, nothing is still on its way.
    """
    command = ["dumpcap", "-q", "-i", "lo", "-B", str(_BUFFER_MIB), "-f", f"net {network}", "-w", str(file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = ""
            while not said.startswith("File: "):
                said = process.stderr.readline()
                assert said, "dumpcap ended by itself"
            yield
            _wait_for_all(file, address)
        finally:
            process.send_signal(signal.SIGINT)
            report = process.stderr.read()
    dropped = re.search(r"Packets received/dropped on interface .*: \d+/(\d+)", report)
    assert dropped is not None, report
    assert int(dropped[1]) == 0, report


def _wait_for_all(file: Path, address: str) -> None:
    """What was sent before is in the file as soon as a last datagram of ours is."""
    mark = os.urandom(16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(mark, (address, _DISCARD_PORT))
    deadline = time.monotonic() + _PATIENCE_S
    while mark not in file.read_bytes():
        assert time.monotonic() < deadline, "the capture lags behind"
        time.sleep(0.05)
