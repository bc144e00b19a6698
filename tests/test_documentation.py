"""docs/ names every key, column and code that there is, profile keys with default and range, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest

from loadgen.capacity import found
from loadgen.capacity.found import Capacity
from loadgen.client.client_type import ClientType
from loadgen.client.dialect import Dialect
from loadgen.compare.comparison import Comparison, Outcome
from loadgen.compare.wording import OUTCOMES as OUTCOME_WORDS
from loadgen.engine import phases
from loadgen.imports.imported import Imported
from loadgen.imports.task_table import TASKS
from loadgen.measure import counters, latency_log, store, threshold
from loadgen.measure.columns import COLUMNS
from loadgen.measure.limits import LIMITS, UNKNOWN
from loadgen.measure.sample import LAYERS, OPERATIONS, OUTCOMES
from loadgen.report import summary
from loadgen.report.summary import Latency, Summary
from loadgen.workload.campaign import Campaign
from loadgen.workload.duration import Duration
from loadgen.workload.library import built_in_names
from loadgen.workload.limit_set import LimitSet, read_limit_set
from loadgen.workload.profile import MessageProfile
from mock_server.topology import Topology

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SPAN = re.compile(r"`([^`]+)`")
Row = dict[str, str]
UNSEEN = re.compile(r"\bfacts [A-Z]\d|\bdesign section|\b(?:facts|judges|design)\.md|\bservers/gromox")
"""Notes from before there was this repository, which does not hold them."""


def tables(page: str) -> dict[str, list[Row]]:
    """The rows of each section's table, by the headers of their columns."""
    found: dict[str, list[Row]] = {}
    heading, header = "", None
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ").strip("`")
        if not line.startswith("|"):
            header = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if header is None:
            header = cells
            found.setdefault(heading, [])
        elif set(cells[0]) - {"-", ":", " "}:
            found[heading].append(dict(zip(header, cells, strict=True)))
    return found


def keys(page: str, section: str) -> list[str]:
    """What the first column of a section's table names, several names in one cell included."""
    rows = tables(page)[section]
    return [name for row in rows for name in SPAN.findall(next(iter(row.values())))]


def plain(shape: Any) -> tuple[Any, tuple[msgspec.Meta, ...]]:
    """A type without ``| None`` and without its constraints, and those."""
    constraints: tuple[msgspec.Meta, ...] = ()
    while (origin := get_origin(shape)) is Annotated or origin in (Union, UnionType):
        if origin is Annotated:
            constraints += shape.__metadata__
        shape = next(part for part in get_args(shape) if part is not type(None))
    return shape, constraints


def is_struct(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, msgspec.Struct)


def leaves(shape: type[msgspec.Struct], above: str = "") -> Iterator[tuple[str, msgspec.inspect.Field, Any]]:
    """Every key of a Struct by its dotted path: ``*`` below a mapping, ``[]`` behind an array of tables."""
    for field in msgspec.structs.fields(shape):
        name, (inner, _) = above + field.encode_name, plain(field.type)
        while get_origin(inner) is dict and get_args(inner)[1] is not Any:
            name, (inner, _) = f"{name}.*", plain(get_args(inner)[1])
        if get_origin(inner) in (tuple, list) and is_struct(get_args(inner)[0]):
            yield from leaves(get_args(inner)[0], f"{name}[].")
        elif is_struct(inner) and inner is not Latency:
            yield from leaves(inner, f"{name}.")
        else:
            yield name, field, field.type


def default_of(field: Any) -> str:
    if field.default is msgspec.NODEFAULT:
        return "" if field.default_factory is msgspec.NODEFAULT else "none"
    if field.default in ((), None, ""):
        return "none"
    if isinstance(field.default, bool):
        return str(field.default).lower()
    return f"{field.default:g}" if type(field.default) is float else str(field.default)


def allowed_by(shape: Any) -> str:
    if get_origin(shape) in (Union, UnionType):
        return " or ".join(allowed_by(part) for part in get_args(shape) if part is not type(None))
    inner, constraints = plain(shape)
    bounds = {}
    for meta in constraints:
        bounds |= {
            name: getattr(meta, name) for name in ("ge", "gt", "le") if getattr(meta, name) is not None
        }
        if meta.pattern is not None:
            return "text of a form"
    if get_origin(inner) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(inner))
    if get_origin(inner) is tuple:
        return "list of text"
    words = {bool: "`true`, `false`", str: "text", Duration: "duration", int: "whole number", float: "number"}
    low = f"from {bounds['ge']:,}" if "ge" in bounds else f"above {bounds['gt']:,}" if "gt" in bounds else ""
    high = f"to {bounds['le']:,}" if "le" in bounds else ""
    return " ".join(filter(None, (words[inner], low, high)))


def expected_rows(shape: type[msgspec.Struct]) -> list[tuple[str, str, str]]:
    return [(name, default_of(field), allowed_by(kind)) for name, field, kind in leaves(shape)]


@pytest.mark.parametrize(
    ("section", "shape"),
    [
        ("Campaigns", Campaign),
        ("Client types", ClientType),
        ("Dialects", Dialect),
        ("Limit sets", LimitSet),
        ("Message profiles", MessageProfile),
        ("Topologies", Topology),
    ],
)
def test_every_key_of_a_profile_stands_with_its_default_and_range(section, shape):
    shown = [
        (row["key"].strip("`"), row["default"].strip("`"), row["allowed"])
        for row in tables("profiles.md")[section]
    ]
    assert shown == expected_rows(shape)


@pytest.mark.parametrize(
    ("section", "shape"),
    [
        ("summary.json", Summary),
        ("run.json", store.RunRecord),
        ("capacity.json", Capacity),
        ("Latencies", Latency),
    ],
)
def test_every_key_of_a_json_file_is_named(section, shape):
    shown = [re.sub(r"<[^>]+>", "*", key) for key in keys("results.md", section)]
    assert shown == [name for name, _, _ in leaves(shape)]


def test_every_key_of_an_import_is_named():
    shown = {re.sub(r"<[^>]+>", "*", key) for key in keys("import.md", "import.json")}
    assert shown == {name for name, _, _ in leaves(Imported)}


def test_every_task_that_is_set_beside_an_operation_is_named():
    shown = {
        row["task"].strip("`"): row["operation"].strip("`") for row in tables("import.md")["LoadGen's tasks"]
    }
    assert shown == {task: known.operation for task, known in TASKS.items() if known.operation}


def test_every_key_of_a_comparison_is_named():
    shown = [re.sub(r"<[^>]+>", "*", key) for key in keys("compare.md", "JSON")]
    assert shown == list(
        dict.fromkeys(
            "beside[]" if name.startswith("beside[]") else name for name, _, _ in leaves(Comparison)
        )
    )


def test_every_outcome_of_a_comparison_is_explained():
    rows = tables("compare.md")["How to read it"]
    assert tuple(row["in JSON"].strip("`") for row in rows) == get_args(Outcome)
    assert [row["answer"] for row in rows] == [OUTCOME_WORDS[outcome] for outcome in get_args(Outcome)]


def test_what_describes_versions_and_machine_is_named():
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    assert {*store.describe_machine(), *store.describe_versions()} <= set(SPAN.findall(text))


def test_every_column_of_a_csv_file_is_named():
    per_operation = tuple(
        name.partition(".")[2] for name in store.TIMESERIES_HEADER if name.startswith("log_on.")
    )
    general = tuple(name for name in store.TIMESERIES_HEADER if "." not in name)
    assert keys("results.md", "timeseries.csv") == [
        *general,
        *(f"<operation>.{figure}" for figure in per_operation),
    ]
    assert keys("results.md", "connections.csv") == list(store.CONNECTIONS_HEADER)
    assert keys("results.md", "counters.csv") == list(counters.HEADER)


EVENT = re.compile(r"""event\(\s*"(\w+)"|_event_line\(\s*[\w.]+,\s*"(\w+)\"""")


def test_every_kind_of_event_is_named():
    kinds = {
        found[1] or found[2]
        for package in ("engine", "measure")
        for path in (ROOT / "loadgen" / package).glob("*.py")
        for found in EVENT.finditer(path.read_text(encoding="utf-8"))
    }
    assert set(keys("results.md", "Kinds of events")) == kinds


@pytest.mark.parametrize(
    ("page", "section", "names"),
    [
        ("results.md", "Operations", OPERATIONS),
        ("results.md", "Layers", LAYERS),
        ("results.md", "Outcomes", OUTCOMES),
        ("results.md", "Columns of the connection table", COLUMNS),
        ("results.md", "Phases", tuple(phases.BACKGROUND)),
    ],
)
def test_every_name_of_a_closed_list_is_explained(page, section, names):
    assert tuple(keys(page, section)) == names


def test_every_exit_code_is_explained():
    codes = sorted(value for name, value in vars(threshold).items() if name.startswith("EXIT_"))
    assert [int(code) for code in keys("results.md", "Exit codes")] == codes


def test_every_file_is_named_with_its_schema_version(tmp_path):
    versions = {row["file"].strip("`"): row["schema"] for row in tables("results.md")["Files"]}
    assert versions == {
        "run.json": str(store.SCHEMA),
        "summary.json": str(summary.SCHEMA),
        "latency.hlog": str(latency_log.SCHEMA),
        "timeseries.csv": str(store.SCHEMA),
        "connections.csv": str(store.SCHEMA),
        "events.jsonl": str(store.SCHEMA),
        "counters.csv": str(counters.SCHEMA),
        "capacity.json": str(found.SCHEMA),
    }


def test_every_threshold_is_of_a_key_that_is_explained():
    explained = {re.sub(r"<[^>]+>", "*", key) for key in keys("results.md", "summary.json")}

    def paths(tree: dict[str, Any], above: str = "") -> Iterator[str]:
        for step, below in tree.items():
            yield from paths(below, f"{above}{step}.") if below else iter((above + step,))

    lists = {*OPERATIONS, *LAYERS, *COLUMNS, *OUTCOMES, *LIMITS, UNKNOWN}
    for path in paths(threshold.PATHS):
        steps = ["*" if step in lists else step for step in path.split(".")]
        whole, of_latency = ".".join(steps), ".".join(steps[:-1])
        assert whole in explained or of_latency in explained, path


def test_links_between_pages_lead_somewhere():
    for page in (ROOT / "README.md", *DOCS.glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
            name, _, anchor = target.partition("#")
            path = page.parent / name if name else page
            assert path.exists(), f"{page.name}: {target}"
            headings = (
                re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE) if anchor else ()
            )
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert not anchor or anchor in anchors, f"{page.name}: {target}"


def test_the_picture_shows_every_package():
    picture = (DOCS / "architecture.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in (ROOT / "loadgen").glob("*/__init__.py")}
    assert not [name for name in packages if f"{name}/" not in picture]


def test_every_page_is_in_the_list_of_pages():
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", (DOCS / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in DOCS.glob("*.md")} - {"README.md"} == listed


def texts(*folders: str) -> Iterator[tuple[str, str]]:
    """What is written in the repository: where, and all of it on one line without comment signs."""
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.*")):
        if path.suffix in {".py", ".toml", ".md", ".hex"}:
            words = path.read_text(encoding="utf-8").split()
            yield str(path.relative_to(ROOT)), " ".join(word for word in words if word != "#")


def test_nothing_cites_what_is_not_in_the_repository():
    written = texts("loadgen", "mock_server", "profiles", "tests", "benchmarks", "docs")
    cited = {where: UNSEEN.findall(text) for where, text in written}
    assert {where: found for where, found in cited.items() if found} == {}


def test_every_source_that_is_cited_is_listed_and_no_other():
    page = tables("sources.md")
    listed = {row["name"] for row in page["Where the numbers are from"]}
    numbered = {row["table"] for row in page["Tables of the white paper"]}
    written = dict(texts("loadgen", "mock_server", "profiles", "docs"))
    del written["docs/sources.md"]
    for where, text in written.items():
        assert set(re.findall(r"\bKB\d{6}\b", text)) <= listed, where
        assert set(re.findall(r"[Ww]hite paper, table (\d+)", text)) <= numbered, where
    for limit in (limit for name in built_in_names("limits") for limit in read_limit_set(name).limits):
        assert any(name in limit.source for name in (*listed, "no published limit")), limit
    assert [name for name in listed if not any(name in text for text in written.values())] == []
