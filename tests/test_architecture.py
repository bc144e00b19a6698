"""The house of this project: imports point down, never up, never round, and the mock stands alone."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("loadgen", "mock_server")

# Top to bottom: a file may import its own floor and those below it.
FLOORS = (
    "loadgen.__main__",
    "loadgen.cli",
    "loadgen.engine",
    "loadgen.compare",
    "loadgen.check",
    "loadgen.capacity",
    "loadgen.report",
    "loadgen.imports",
    "loadgen.telemetry",
    "loadgen.workload",
    "loadgen.trace",
    "loadgen.client",
    "loadgen.protocol",
    "loadgen.wire",
    "loadgen.errors",
)
# Floors that may import less than everything below them: what they may import, besides themselves.
NARROW = {
    "loadgen.measure": ("loadgen.errors",),
    "mock_server": ("loadgen.wire", "loadgen.errors"),
    "loadgen.wire": ("loadgen.errors",),
    "loadgen.errors": (),
}
# Measurement stands beside the house: what is above the protocols may name what is measured.
ABOVE_MEASURE = FLOORS[: FLOORS.index("loadgen.protocol")]
SANS_IO = ("loadgen.protocol", "loadgen.wire", "loadgen.errors")
IO_MODULES = frozenset(
    {"asyncio", "socket", "select", "selectors", "ssl", "threading", "time", "logging", "subprocess"}
)
TEST_BANS = {
    "check": ("mock_server",),
    "trace": ("mock_server",),
    "client": ("mock_server",),
    "protocol": ("mock_server",),
    "wire": ("mock_server", "loadgen.protocol", "loadgen.client"),
    "engine": ("mock_server",),
    "measure": ("mock_server", "loadgen.engine"),
    "workload": ("mock_server", "loadgen.engine"),
    "report": ("mock_server", "loadgen.engine"),
    "mock_server": ("loadgen.protocol", "loadgen.client", "loadgen.engine", "loadgen.workload"),
}
LONGEST_FILE, LONGEST_FUNCTION = 500, 60
"""Lines."""


def module_name(path: Path) -> str:
    """``loadgen/wire/rts.py`` is ``loadgen.wire.rts``; a package is named without ``__init__``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, at any depth of its code, with the names taken out of it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


SOURCES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
IMPORTS = {name: sorted(set(imports_of(path))) for name, path in SOURCES.items()}


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def floor_of(name: str) -> str | None:
    return next((floor for floor in (*FLOORS, *NARROW) if within(name, floor)), None)


def own_imports(name: str) -> list[str]:
    """The modules of ours that a module imports; the bare root holds the version alone, for everyone."""
    return sorted({found for found in IMPORTS[name] if found in SOURCES and found != "loadgen"})


def allowed(floor: str) -> tuple[str, ...]:
    if floor in NARROW:
        return (floor, *NARROW[floor])
    below = FLOORS[FLOORS.index(floor) :]
    return (*below, "loadgen.measure") if floor in ABOVE_MEASURE else below


@pytest.mark.parametrize("name", SOURCES)
def test_imports_say_whence(name: str) -> None:
    assert not [found for found in IMPORTS[name] if found.startswith(".")]


@pytest.mark.parametrize("name", SOURCES)
def test_imports_point_down(name: str) -> None:
    floor = floor_of(name)
    if floor is None:
        assert name == "loadgen", f"{name} stands on no floor"
        assert own_imports(name) == []
        return
    wrong = [
        found for found in own_imports(name) if not any(within(found, below) for below in allowed(floor))
    ]
    assert wrong == [], f"{name} may import only {allowed(floor)}"


def test_no_import_goes_round() -> None:
    graph = {name: set(own_imports(name)) - {name} for name in SOURCES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" > ".join(error.args[1]))


@pytest.mark.parametrize("name", [name for name in SOURCES if any(within(name, floor) for floor in SANS_IO)])
def test_protocols_do_no_io_and_ask_no_clock(name: str) -> None:
    assert IO_MODULES.isdisjoint(found.partition(".")[0] for found in IMPORTS[name])


def test_client_sockets_live_in_one_place() -> None:
    openers = {
        name
        for name, path in SOURCES.items()
        if within(name, "loadgen") and "create_connection(" in path.read_text(encoding="utf-8")
    }
    assert {name for name in openers if not within(name, "loadgen.client.transport")} == set()


def test_errors_import_nothing() -> None:
    assert IMPORTS["loadgen.errors"] == []


@pytest.mark.parametrize("area", TEST_BANS)
def test_each_side_is_tested_without_the_other(area: str) -> None:
    for path in sorted((ROOT / "tests" / area).rglob("*.py")):
        wrong = [found for found in imports_of(path) if any(within(found, ban) for ban in TEST_BANS[area])]
        assert wrong == [], f"{path.relative_to(ROOT)} joins what only tests/end_to_end may join"


@pytest.mark.parametrize("name", SOURCES)
def test_files_stay_readable(name: str) -> None:
    """A file holds one concept, and its name says which; a function is seen at one glance."""
    path = SOURCES[name]
    assert path.stem not in {"utils", "helpers", "manager", "common", "misc"}
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < LONGEST_FILE
    too_long = [
        f"{node.name} in line {node.lineno}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= LONGEST_FUNCTION
    ]
    assert too_long == []
