"""One process of the mock: lines in, lines out, and how it ends."""

import asyncio
import gc
import io
import json
import os
import resource
import sys

import msgspec
import pytest

from mock_server import role_process
from mock_server.role_process import Started, Task, main, serve
from mock_server.topology_file import read_topology


def task(role, number):
    return Task(role, 0, read_topology("small", base_address=f"127.0.{number}.0"))


@pytest.fixture
def lines(monkeypatch):
    """Stands between a role and its supervisor: both ends of its standard input, and what it says."""
    read_end, write_end = os.pipe()
    said = io.BytesIO()
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(sys, "stdin", os.fdopen(read_end, "rb", buffering=0))
    monkeypatch.setattr(role_process, "_say", lambda line: said.write(line + b"\n"))
    with os.fdopen(write_end, "wb", buffering=0) as control:
        yield control, lambda: [json.loads(line) for line in said.getvalue().splitlines()]


async def heard(say, count):
    async with asyncio.timeout(20):
        while len(say()) < count:  # noqa: ASYNC110 - a pipe sets no event
            await asyncio.sleep(0.001)
    return say()


@pytest.mark.parametrize(
    ("role", "columns"),
    [
        (
            "client_access",
            {"client_to_cas", "cas_to_stores", "cas_to_dsproxy", "cas_to_referral", "cas_to_gc"},
        ),
        ("mailbox", {"client_to_servers", "store", "referral", "dsproxy"}),
        ("public_folders", {"client_to_servers", "public_store"}),
        ("global_catalog", {"client_to_servers", "directory"}),
    ],
)
async def test_a_role_reports_until_its_input_ends(servers_closed, lines, role, columns):
    control, say = lines
    serving = asyncio.create_task(serve(task(role, 68)))
    assert await heard(say, 1) == [{"error": None}]
    control.write(b"\n\n")
    _, *reports = await heard(say, 3)
    for report in reports:
        assert set(report["connections"]) == columns
        assert "Mock\\Protocol Errors" in report["counters"]
    control.close()
    assert await serving == 0


async def test_a_bug_ends_the_process_and_a_broken_connection_does_not(servers_closed, lines, caplog):
    control, say = lines
    serving = asyncio.create_task(serve(task("global_catalog", 69)))
    await heard(say, 1)
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": "broken", "exception": ConnectionResetError()})
    control.write(b"\n")
    await heard(say, 2)
    loop.call_exception_handler({"message": "ours", "exception": ValueError("a bug")})
    assert await serving == 1
    assert "a bug" in caplog.text
    control.close()


def test_main_says_why_it_does_not_listen(monkeypatch, capfdbinary):
    """The address is not one of this machine's."""
    monkeypatch.setattr(role_process, "_die_with_parent", lambda: None)
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, limits: taken.append(limits))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    taken = []
    wrong = Task(
        "global_catalog", 0, read_topology("small", changes={"global_catalog.0.address": "192.0.2.1"})
    )
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(msgspec.json.encode(wrong) + b"\n")))
    assert main() == 3
    started = msgspec.json.decode(capfdbinary.readouterr().out, type=Started)
    assert "192.0.2.1" in started.error
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert taken == [(hard, hard)]
