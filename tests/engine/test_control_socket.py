"""The control socket on a real file system, before a run that only listens."""

import asyncio
import json
import os
import socket
import stat

import pytest

from loadgen.engine.control import Answer, Command
from loadgen.engine.control_socket import FILE, LONGEST_LINE, NoSocket, ask, control_socket
from loadgen.errors import TransportError


class Obedient:
    def __init__(self):
        self.heard = []

    async def obey(self, command, by):
        self.heard.append((command, by))
        return Answer(ok=command.command != "resume", text=f"as you say: {command}")


@pytest.fixture
def run():
    return Obedient()


async def asked(folder, *words):
    return await asyncio.to_thread(ask, folder, Command(*words))


async def spoken(folder, octets):
    """What comes back for bytes of any kind, until the other end closes."""
    reader, writer = await asyncio.open_unix_connection(str(folder / FILE))
    writer.write(octets)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def test_commands_reach_the_run_with_who_sent_them(tmp_path, run):
    async with control_socket(tmp_path, run) as path:
        assert path == tmp_path / FILE
        assert await asked(tmp_path, "scale", 7) == Answer(ok=True, text="as you say: scale 7")
        assert await asked(tmp_path, "resume") == Answer(ok=False, text="as you say: resume")
    [(command, by), _] = run.heard
    assert command == Command("scale", 7)
    assert by.endswith(f"(process {os.getpid()})")


async def test_it_is_the_owners_alone_and_goes_with_the_run(tmp_path, run):
    async with control_socket(tmp_path, run) as path:
        mode = path.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert not path.exists()
    with pytest.raises(TransportError, match="is not there: the run is over"):
        await asked(tmp_path, "status")


async def test_a_folder_may_be_deeper_than_the_name_of_a_socket_can_be_long(tmp_path, run):
    deep = tmp_path.joinpath(*["a-rather-long-name-of-a-folder"] * 8)
    deep.mkdir(parents=True)
    async with control_socket(deep, run):
        assert (await asked(deep, "pause")).ok


async def test_one_connection_may_carry_several_commands_and_lines_that_are_none(tmp_path, run):
    lines = (
        b'{"command":"pause"}\nnonsense\n{"command":"format"}\n'
        b'{"command":"stop","password":"x"}\n{"command":"stop"}\n'
    )
    async with control_socket(tmp_path, run):
        answers = [json.loads(line) for line in (await spoken(tmp_path, lines)).splitlines()]
    assert [answer["ok"] for answer in answers] == [True, False, False, False, True]
    assert all(answer["schema"] == 1 for answer in answers)
    assert answers[1]["text"].startswith("not a command: ")
    assert "unknown field `password`" in answers[3]["text"]
    assert [str(command) for command, _ in run.heard] == ["pause", "stop"]


async def test_an_endless_line_is_cut_off_without_harm_to_others(tmp_path, run):
    async with control_socket(tmp_path, run):
        assert await spoken(tmp_path, b"x" * (2 * LONGEST_LINE)) == b""
        assert (await asked(tmp_path, "pause")).ok


async def test_who_only_listens_does_not_keep_the_run_from_ending(tmp_path, run):
    async with control_socket(tmp_path, run):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / FILE))
        writer.write(b'{"command":"pause"}\n')
        assert await reader.readline()
    assert await reader.read() == b""
    writer.close()


async def test_a_run_that_was_killed_leaves_a_socket_that_nobody_answers(tmp_path):
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / FILE))
    with pytest.raises(TransportError, match="nobody listens: the run was killed"):
        await asked(tmp_path, "status")


async def test_a_run_that_goes_without_an_answer_is_told_of(tmp_path):
    async def leave(reader, writer):
        await reader.readline()
        writer.close()

    async with await asyncio.start_unix_server(leave, str(tmp_path / FILE)):
        with pytest.raises(TransportError, match="went away without an answer"):
            await asked(tmp_path, "status")


async def test_where_there_can_be_no_socket_the_reason_is_told(tmp_path, run):
    (tmp_path / FILE).write_text("already something else")
    with pytest.raises(NoSocket, match="Address already in use"):
        async with control_socket(tmp_path, run):
            pass
