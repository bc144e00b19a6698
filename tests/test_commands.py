"""Every command that README.md and docs/ show is run here, or taken as far as its first connection."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import click
import pytest
from click.testing import CliRunner

from loadgen.cli import capacity as capacity_module
from loadgen.cli import check as check_module
from loadgen.cli import control as control_module
from loadgen.cli import mock as mock_module
from loadgen.cli import run as run_module
from loadgen.cli.main import main
from loadgen.client import users_file
from loadgen.engine.endpoint import accounts_of, given_addresses, parts_of
from loadgen.engine.run import source_addresses
from loadgen.measure.threshold import EXIT_FAIL, EXIT_INVALID
from loadgen.workload.campaign import Campaign, Population, populate
from loadgen.workload.limit_set import read_limit_set
from mock_server.topology_file import parse_change, read_topology

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
DATA: Final = Path(__file__).parent / "imports" / "data"
EXAMPLES: Final = {
    "mbx1.csv": "relog.csv",
    "cas1.txt": "netstat-windows-cas.txt",
    "mbx1.txt": "ss-mailbox.txt",
    "mbx2.txt": "ss-mailbox.txt",
    "gc1.txt": "netstat-linux-gc.txt",
    "loadgen.csv": "tasks.csv",
}
"""What pages call the user's own files, and which of ours stands for each."""
IMPORTS: Final = {
    "connections": [str(DATA / "netstat-windows-cas.txt"), "--role", "cas"],
    "table": [str(DATA / "tasks.csv")],
}
"""How the earlier imports were made that pages name."""

NOT_CONNECTING: Final = {
    "run": "takes minutes, or wants a real target: campaign, users, topology, limits, accounts are read",
    "capacity": "likewise, for longer still",
    "check": "wants a target: its address, user and options are read; a mock's answers are in test_check.py",
    "mock": "serves until it is interrupted: its topology is read",
    "control": "wants a run under way: its command is made",
}
"""Commands that are stopped where they would connect, and why. All others are executed."""

SHORT: Final = (
    "--ramp 500ms",
    "--startup-hold 1s",
    "--duration 3s",
    "--warmup 0s",
    "--hold 0s",
    "--speed 1440",
)
"""What makes any campaign with few users one of seconds."""

EXECUTED: Final = ("loadgen check mock", "loadgen run monday.toml")
"""Commands of NOT_CONNECTING that are carried out all the same, as short runs."""

OTHERS: Final = (
    ". .venv/bin/activate",
    "apt-get install",
    "for i in $(seq",
    "grommunio-admin",
    "printf '%s' \"$LOAD_PASSWORD\"",
    "done",
    "netstat -ano",
)
"""Other programs that pages may call, by their first words."""

FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN: Final = re.compile(r"(?<!`)`((?:[A-Z_]+=\S* )*(?:loadgen|make) [^`]+)`(?!`)")
PLACEHOLDER: Final = re.compile(r"^[A-Z]+(\.\w+)?$|^\[|…")
OURS: Final = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S* )*(?:loadgen|make) ")


class Command(NamedTuple):
    """One command of a page."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """Without what the shell takes: variables before it, redirections and the like after it."""
        words = shlex.split(self.text, comments=True)
        while re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        ends = (index for index, word in enumerate(words) if word in (">", "|", "&", "2>"))
        return words[: next(ends, None)]


def lines_of(block: str, language: str) -> Iterator[str]:
    """The commands of a block; of a console's those behind ``$``, the rest is what they print."""
    for line in re.sub(r"\\\n\s*", "", block).splitlines():
        if language == "console":
            if line.startswith("$ "):
                yield line[2:]
        elif line.strip() and not line.startswith("#"):
            yield line.strip()


def fenced(path: Path) -> Iterator[Command]:
    for language, block in FENCE.findall(path.read_text(encoding="utf-8")):
        if language in ("sh", "console"):
            for line in lines_of(block, language):
                for part in re.split(r" && ", line):
                    yield Command(path.name, part)


def spans(path: Path) -> Iterator[Command]:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return (Command(path.name, " ".join(found.split())) for found in SPAN.findall(text))


def is_ours(command: Command) -> bool:
    return bool(OURS.match(command.text + " "))


def is_run_elsewhere(command: Command) -> bool:
    """The literature's figures: tests/cli/test_plan.py runs each, and looks for what it has to print."""
    return command.page == "capacity.md" and command.text.startswith("loadgen plan")


FENCED: Final = [command for path in PAGES for command in fenced(path)]
SPANS: Final = [command for path in PAGES for command in spans(path)]
TO_RUN: Final = sorted(
    {c for c in (*FENCED, *SPANS) if c.words[0] == "loadgen" and not (c in SPANS and is_run_elsewhere(c))}
)
MAKES: Final = sorted({c for c in (*FENCED, *SPANS) if c.words[0] == "make"})


SHOWN_FILES: Final = {
    block.splitlines()[0].removeprefix("# "): block
    for path in PAGES
    for language, block in FENCE.findall(path.read_text(encoding="utf-8"))
    if language == "toml" and re.match(r"# [\w-]+\.toml$", block.splitlines()[0])
}
"""Files that a page shows in whole, by the name in their first line."""


def of_command(command: Command) -> tuple[click.Command, list[str], list[str]]:
    """The command's own object, the names that lead to it, and the words that follow them."""
    found: click.Command = main
    names, words = [], command.words[1:]
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        assert words[0] in found.commands, f"{command.page}: no such command: {words[0]}"
        names.append(words.pop(0))
        found = found.commands[names[-1]]
    return found, names, words


def is_mention(command: Command) -> bool:
    """``loadgen users make`` or ``loadgen compare --fail-on`` names something and shows no whole command."""
    _, _, words = of_command(command)
    return command in SPANS and (
        not words
        or (len(words) == 1 and words[0].startswith("--"))
        or any(PLACEHOLDER.search(word) for word in words)
    )


def read_all(campaign: Campaign, population: Population | None, target: str) -> None:
    """Everything that a campaign names is read as its run would read it."""
    source_addresses(campaign.source_ip)
    if campaign.limit_set:
        read_limit_set(campaign.limit_set)
    read_topology(campaign.topology, changes=dict(map(parse_change, campaign.set)))
    if target.startswith("http"):
        host, _, _ = parts_of(target)
        given_addresses(host, campaign.resolve)
        accounts_of(campaign, population or populate(campaign), lambda _: None)
    else:
        assert re.fullmatch(r"mock(=http://[\w.:]+)?", target), target


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces what connects, in the commands of NOT_CONNECTING alone; tells which of them came so far."""
    names: list[str] = []

    def arrive(name: str) -> NoReturn:
        names.append(name)
        raise click.exceptions.Exit(0)

    async def run_campaign(campaign: Campaign, population: Population, target: str, **_: Any) -> None:
        read_all(campaign, population, target)
        arrive("run")

    async def search(campaign: Campaign, aim: object, target: str, **_: Any) -> None:
        read_all(campaign, None, target)
        arrive("capacity")

    async def check(target: str, campaign: Campaign, user: str, *_: Any) -> None:
        read_topology(campaign.topology, changes=dict(map(parse_change, campaign.set)))
        assert user or target == "mock"
        if campaign.users_file:
            users_file.load(Path(campaign.users_file))
        assert target.startswith("mock") or parts_of(target)
        arrive("check")

    def serve(program: str, words: list[str]) -> None:
        changes = [words[index + 1] for index, word in enumerate(words) if word == "--set"]
        read_topology(words[3], changes=dict(map(parse_change, changes)))
        arrive("mock")

    def ask(folder: Path, command: object) -> None:
        arrive("control")

    monkeypatch.setattr(run_module, "run_campaign", run_campaign)
    monkeypatch.setattr(capacity_module, "find_capacity", search)
    monkeypatch.setattr(capacity_module, "measure_gap", search)
    monkeypatch.setattr(check_module, "_check", check)
    monkeypatch.setattr(mock_module.os, "execv", serve)
    monkeypatch.setattr(control_module, "ask", ask)
    return names


CAMPAIGN: Final = """
threshold = ["operations.send_message.response_ms.p95 < 1000"]
[[group]]
users = 20
client = "outlook2007-cached-anywhere"
profile = "medium"
"""


@pytest.fixture(scope="session")
def one_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real run of seconds, made by the command line: what all later commands look at."""
    out = tmp_path_factory.mktemp("results")
    words = ["run", "--users", "5", "--client", "outlook2003-online-anywhere", "--profile", "light"]
    words += [*" ".join(SHORT).split(), "--out", str(out)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code in (0, 98, 99), (
        result.output
    )  # a busy machine makes it INVALID; it is a run all the same
    [folder] = out.iterdir()
    return folder


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory, one_run: Path) -> Path:
    """A folder with everything that the pages take for granted: campaigns, accounts, logs, and results."""
    desk = tmp_path_factory.mktemp("desk")
    words = {word for command in TO_RUN for word in command.words}
    for name in words:
        if name.endswith(".toml"):
            (desk / name).write_text(CAMPAIGN, encoding="utf-8")
        elif name.startswith("results/") and "import" not in name:
            shutil.copytree(one_run, desk / name)
    for name, text in SHOWN_FILES.items():
        (desk / name).write_text(text, encoding="utf-8")
    lines = [f"user{index:05d}@example.org,secret" for index in range(500)]
    (desk / "users.csv").write_text("\n".join(("mailbox,password", *lines)), encoding="utf-8")
    for name, example in EXAMPLES.items():
        shutil.copy(DATA / example, desk / name)
    for kind, arguments in IMPORTS.items():
        for name in (word for word in words if word.endswith(f"-import-{kind}")):
            result = CliRunner().invoke(main, ["import", kind, *arguments, "--out", str(desk / "made")])
            assert result.exit_code == 0, result.output
            [made] = (desk / "made").iterdir()
            (desk / "results").mkdir(exist_ok=True)
            made.rename(desk / name)
    plan = CliRunner().invoke(main, ["plan", "quickstart", "--json"])
    (desk / "plan.json").write_text(plan.stdout, encoding="utf-8")
    return desk


def invoke(command: Command, monkeypatch: pytest.MonkeyPatch, desk: Path, more: tuple[str, ...] = ()) -> Any:
    monkeypatch.chdir(desk)
    if "mock" not in command.words:
        monkeypatch.setenv("LOADGEN_PASSWORD", "secret")
    return CliRunner().invoke(main, [*command.words[1:], *more])


@pytest.mark.parametrize("command", TO_RUN, ids=lambda command: f"{command.page}: {command.text}")
def test_every_command_that_is_shown_works(command, monkeypatch, desk, reached, tmp_path):
    _, names, _ = of_command(command)
    if is_mention(command):
        return
    here = tmp_path / "desk"
    shutil.copytree(desk, here)
    if names[:2] == ["users", "make"]:
        (here / "users.csv").unlink()
    result = invoke(command, monkeypatch, here)
    assert result.exit_code in (0, EXIT_INVALID, EXIT_FAIL), result.output
    assert reached == [name for name in names[:1] if name in NOT_CONNECTING and "--help" not in command.words]


@pytest.mark.parametrize("text", EXECUTED)
def test_short_ones_are_carried_out_against_a_mock(text, monkeypatch, desk):
    [command] = {found.text: found for found in TO_RUN if found.text.split(" #")[0].strip() == text}.values()
    more = SHORT if command.words[1] == "run" else ()
    result = invoke(command, monkeypatch, desk, tuple(word for option in more for word in option.split()))
    assert result.exit_code in (0, EXIT_INVALID, EXIT_FAIL), result.output


def test_every_target_of_make_that_is_shown_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for command in MAKES:
        asked = [word for word in command.words[1:] if "=" not in word]
        assert asked, command
        assert set(asked) <= targets, command


def test_every_benchmark_that_is_shown_exists():
    shown = {
        name
        for path in PAGES
        for name in re.findall(r"-m benchmarks\.(\w+)", path.read_text(encoding="utf-8"))
    }
    assert shown
    assert shown <= {path.stem for path in (ROOT / "benchmarks").glob("bench_*.py")}


def test_no_command_is_shown_where_it_is_not_run():
    """In other blocks nothing starts like a command of ours, and in blocks of commands all are known."""
    for path in PAGES:
        for language, block in FENCE.findall(path.read_text(encoding="utf-8")):
            if language not in ("sh", "console"):
                assert not [line for line in block.splitlines() if OURS.match(line)], path.name
    for command in FENCED:
        known = command.words[0] in ("loadgen", "make") or command.text.startswith(OTHERS)
        assert known, f"{command.page}: {command.text}"


def test_no_list_names_what_is_not_shown():
    first_names = {names[0] for names in (of_command(command)[1] for command in TO_RUN) if names}
    assert set(NOT_CONNECTING) <= first_names
    for other in OTHERS:
        assert [command for command in FENCED if command.text.startswith(other)], other
