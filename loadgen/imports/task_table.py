"""A table that somebody fills from a LoadGen report: LoadGen's own files are documented nowhere."""

import csv
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple

from loadgen.errors import ProfileError
from loadgen.imports.imported import Imported, OperationFigures, RunHeader, Task, now
from loadgen.workload import connection_model
from loadgen.workload.duration import Duration

COLUMNS: Final = ("task", "count", "avg_ms", "p95_ms", "exceptions")
HEADER: Final[Mapping[str, str]] = {
    "title": "what the reader should see: place, date, hardware",
    "users": "simulated users, all groups together",
    "client": "client type, such as Outlook 2007 Cached",
    "profile": "message profile, such as heavy",
    "day": "length of the simulated day, such as 8h",
    "length": "how long the simulation ran, such as 4h",
    "pass": "LoadGen's own verdict, yes or no",
}
"""The lines above the table, and what they mean."""


class KnownTask(NamedTuple):
    """A task of LoadGen: ours that it is set beside ("" for none), and whence the name is known."""

    operation: str
    source: str


_INTRO: Final = "kind confirmed by TechNet bb508893, Microsoft Exchange Load Generator"
_MANUAL: Final = "kind confirmed by the title page of the 2013 manual"
_MEMORY: Final = "name from memory"
TASKS: Final[Mapping[str, KnownTask]] = {
    "SendMail": KnownTask("send_message", _INTRO),
    "ReadAndProcessMessages": KnownTask("read_message", _MEMORY),
    "DeleteMail": KnownTask("delete_message", _MEMORY),
    "Logon": KnownTask("log_on", _INTRO),
    "Logoff": KnownTask("log_off", _INTRO),
    "BrowsePublicFolder": KnownTask("browse_public_folder", _MANUAL),
    "PublicFolderPost": KnownTask("post_public_folder", _MANUAL),
    "PostFreeBusy": KnownTask("publish_free_busy", _MEMORY),
    **dict.fromkeys(
        (
            *("BrowseCalendar", "MakeAppointment", "RequestMeeting", "BrowseContacts", "CreateContact"),
            *("BrowseTasks", "CreateTask", "CreateFolder", "MoveMail", "ExportMail", "Search", "EditRules"),
            *("DownloadOab", "ModuleInit", "InitializeMailbox", "InitializePublicFolder"),
        ),
        KnownTask("", _MEMORY),
    ),
    "EditSmartFolder": KnownTask("", _INTRO),
}
"""LoadGen's tasks. Their times are taken for service times: whether LoadGen counts the queue is not known."""

_NOT_OF_LOADGEN: Final = ("resolve_names", "browse_address_book")
"""Directory work, which LoadGen has none of: it stands with an explicit 0."""


_NO_CONNECTIONS_OF_LOADGEN: Final = ("second_mail", "public_folder", "directory", "referral")


def template() -> str:
    """An empty table with a line of explanation for all that can be filled in."""
    lines = [
        "# What LoadGen reported, to be set beside runs: loadgen import table FILE, loadgen compare",
        "# Lines with # are ignored. Above the table: the run. Leave empty what you do not know.",
        *(f"# {key}: {meaning}" for key, meaning in HEADER.items()),
        *(f"{key}," for key in HEADER),
        "",
        "# task: name of the task as LoadGen reports it",
        "# count: how many were completed",
        "# avg_ms: average latency in milliseconds",
        "# p95_ms: 95th percentile in milliseconds",
        "# exceptions: how many failed",
        ",".join(COLUMNS),
        *(f"{task},,,," for task, known in TASKS.items() if known.operation),
    ]
    return "\n".join(lines) + "\n"


def import_table(path: Path) -> Imported:
    """Reads a filled table; raises :class:`~loadgen.errors.ProfileError` with file and line."""
    header, tasks = _read(path)
    users = header.users or 0
    unknown = sorted({task.task for task in tasks if task.task not in TASKS})
    notes = ["latencies are taken for service times: whether LoadGen counts its queue is not documented"]
    if unknown:
        notes.append(f"tasks that are not known here are kept as they are: {', '.join(unknown)}")
    if not users:
        notes.append("users: not given, so there are no connections to tell")
    return Imported(
        kind="table",
        sources=(str(path),),
        imported=now(),
        run=header,
        connections=dict(connection_model.as_loadgen(users)) if users else {},
        virtual_connections={"mail": users} | dict.fromkeys(_NO_CONNECTIONS_OF_LOADGEN, 0),
        operations=_operations(tasks),
        tasks=tuple(tasks),
        notes=tuple(notes),
    )


def _read(path: Path) -> tuple[RunHeader, list[Task]]:
    table: dict[str, str] = {}
    tasks: list[Task] = []
    has_columns = False
    for line, row in _rows(path):
        try:
            if tuple(row) == COLUMNS:
                has_columns = True
            elif has_columns:
                tasks += _task(row, tasks)
            else:
                table[_key(row)] = row[1] if len(row) > 1 else ""
        except ValueError as error:
            raise ProfileError(f"{path}: line {line}: {error}") from None
    if not tasks:
        raise ProfileError(f"{path}: there is no task below a line {','.join(COLUMNS)}; see --template")
    try:
        return _header(table), tasks
    except ValueError as error:
        raise ProfileError(f"{path}: {error}") from None


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with anything in them and their lines; spreadsheets put commas behind everything."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for row in reader:
                cells = [cell.strip() for cell in row]
                while len(cells) > 1 and not cells[-1] and len(cells) != len(COLUMNS):
                    cells.pop()
                if any(cells) and not cells[0].startswith("#"):
                    yield reader.line_num, cells
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProfileError(f"{path}: is no CSV in UTF-8: {error}") from None


def _key(row: list[str]) -> str:
    if row[0] not in HEADER:
        near = get_close_matches(row[0], (*HEADER, "task"), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{row[0]!r} is none of {', '.join(HEADER)}, nor the table's first line{hint}")
    return row[0]


def _task(row: list[str], before: list[Task]) -> list[Task]:
    """One task, or none if the line was left as the template has it."""
    if len(row) != len(COLUMNS):
        raise ValueError(f"{len(row)} cells instead of {len(COLUMNS)}: {','.join(COLUMNS)}")
    name, count, average, p95, exceptions = row
    if not any((count, average, p95, exceptions)):
        return []
    if any(task.task == name for task in before):
        raise ValueError(f"{name} stands twice")
    return [
        Task(
            task=name,
            operation=TASKS[name].operation if name in TASKS else "",
            count=_whole("count", count),
            avg_ms=_ms("avg_ms", average),
            p95_ms=_ms("p95_ms", p95),
            exceptions=_whole("exceptions", exceptions or "0"),
        )
    ]


def _header(table: Mapping[str, str]) -> RunHeader:
    verdict = table.get("pass", "").lower()
    if verdict not in ("", "yes", "no"):
        raise ValueError(f"pass: {verdict!r} is not yes or no")
    return RunHeader(
        title=table.get("title", ""),
        users=_whole("users", table["users"]) if table.get("users") else None,
        client=table.get("client", ""),
        profile=table.get("profile", ""),
        day_s=_seconds("day", table.get("day", "")),
        length_s=_seconds("length", table.get("length", "")),
        passed={"yes": True, "no": False}.get(verdict),
    )


def _operations(tasks: list[Task]) -> dict[str, OperationFigures]:
    of_operation: dict[str, list[Task]] = {}
    for task in tasks:
        if task.operation:
            of_operation.setdefault(task.operation, []).append(task)
    found = {operation: _together(parts) for operation, parts in of_operation.items()}
    return found | {operation: OperationFigures(tasks=(), done=0, failed=0) for operation in _NOT_OF_LOADGEN}


def _together(tasks: list[Task]) -> OperationFigures:
    timed = [(task.count, task.avg_ms) for task in tasks if task.avg_ms is not None and task.count]
    done = sum(count for count, _ in timed)
    return OperationFigures(
        tasks=tuple(task.task for task in tasks),
        done=sum(task.count for task in tasks),
        failed=sum(task.exceptions for task in tasks),
        service_mean_ms=sum(count * average for count, average in timed) / done if done else None,
        service_p95_ms=tasks[0].p95_ms if len(tasks) == 1 else None,
    )


def _whole(column: str, text: str) -> int:
    plain = text.replace(" ", "").replace("_", "")
    if not plain.isdecimal():
        raise ValueError(f"{column}: {text!r} is not a whole number")
    return int(plain)


def _ms(column: str, text: str) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        raise ValueError(f"{column}: {text!r} is not a number") from None
    if value is not None and not 0 <= value < float("inf"):
        raise ValueError(f"{column}: {text!r} is not a number of milliseconds")
    return value


def _seconds(key: str, text: str) -> float | None:
    try:
        return float(Duration.parse(text)) if text else None
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
