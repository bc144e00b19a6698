"""Perfmon logs as ``relog``, ``logman`` and ``typeperf`` write them: PDH-CSV 4.0, a line per sample.

A file is read line by line, since eight hours of Microsoft's own collectors fill a gigabyte.
"""

import codecs
import csv
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from loadgen.errors import ProfileError
from loadgen.imports.imported import CounterFigures, Imported, now
from loadgen.measure import counters
from loadgen.measure.counters import CounterPath, CounterSample

_FIRST_CELL: Final = re.compile(r"\(PDH-CSV 4\.0\)(?:\s*\((?P<zone>.*)\)\s*\((?P<bias>-?\d+)\))?\s*")
_TIME: Final = re.compile(r"\s*(\d\d?)/(\d\d?)/(\d{4}) (\d\d?):(\d\d):(\d\d)(?:\.(\d{1,6}))?\s*")
_COLUMN: Final = re.compile(r"\\\\([^\\]+)(\\.+)", re.DOTALL)
_HOUR_S: Final = 3600.0
_NOTES_OF_A_KIND: Final = 3

_ENGLISH_OBJECTS: Final = re.compile(
    r"\\(MSExchange|RPC/HTTP Proxy|Web Service|NTDS|DirectoryServices|Processor|System|Memory|Server|Process|"
    r"TCPv[46]|Network Interface|ASP\.NET|\.NET CLR|Netlogon|LogicalDisk|PhysicalDisk|HTTP Service|"
    r"Limit\\|Mock\\)"
)


class PerfmonError(ProfileError):
    """What is wrong with a log, with file and line."""


class _Column(msgspec.Struct, frozen=True):
    place: int
    server: str
    counter: str


class _Figures:
    """Count, sum, least and most of one counter."""

    __slots__ = ("_count", "_most", "_sum", "least")

    def __init__(self) -> None:
        self._count, self._sum = 0, 0.0
        self.least, self._most = float("inf"), float("-inf")

    def add(self, value: float) -> None:
        self._count += 1
        self._sum += value
        self.least = min(self.least, value)
        self._most = max(self._most, value)

    def told(self, server: str, counter: str) -> CounterFigures:
        return CounterFigures(
            server=server,
            counter=counter,
            samples=self._count,
            mean=self._sum / self._count,
            min=self.least,
            max=self._most,
        )


class PerfmonLog:
    """One log. :meth:`samples` reads it once; what was noticed on the way is in the other attributes then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.zone = ""
        """Name of the time zone of its dates, "" if the log does not say."""
        self.notes: list[str] = []
        self.started: datetime | None = None
        self.ended: datetime | None = None
        self._bias: timedelta | None = None
        self._told: dict[str, int] = {}

    def samples(self) -> Iterator[CounterSample]:
        """All values in the order of their times; raises :class:`PerfmonError`."""
        try:
            with self.path.open(encoding=_encoding(self.path), newline="") as file:
                rows = csv.reader(file)
                yield from self._read(rows, lambda: rows.line_num)
        except OSError as error:
            raise PerfmonError(f"{self.path}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise PerfmonError(f"{self.path}: is not {error.encoding} as it says: {error.reason}") from None

    def _read(self, rows: Iterator[list[str]], line: Callable[[], int]) -> Iterator[CounterSample]:
        columns: list[_Column] | None = None
        width = 0
        before_s = shift_s = 0.0
        for row in self._whole(rows, line):
            if columns is None:
                columns, width = self._header(row, line()), len(row)
                continue
            moment = self._moment(row, line())
            if moment is None:
                continue
            if len(row) < width:
                self._note("short", f"line {line()}: {len(row)} cells instead of {width}, left out")
                continue
            self.started = self.started or moment
            time_s = (moment - self.started).total_seconds() + shift_s
            if time_s < before_s:
                shift_s += self._back(before_s - time_s, line())
                time_s += _HOUR_S
            before_s = time_s
            self.ended = self.started + timedelta(seconds=time_s)
            yield from self._values(columns, row, time_s, line())
        if columns is None:
            raise PerfmonError(f"{self.path}: is empty, and no perfmon log")

    def _whole(self, rows: Iterator[list[str]], line: Callable[[], int]) -> Iterator[list[str]]:
        """Rows with anything in them: typeperf puts an empty line before its header."""
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                raise PerfmonError(f"{self.path}: line {line()}: is no CSV: {error}") from None
            if any(cell.strip() for cell in row):
                yield row

    def _header(self, row: list[str], line: int) -> list[_Column]:
        first = _FIRST_CELL.fullmatch(row[0].strip())
        if first is None:
            tabs = "\t" in row[0] or "PDH-TSV" in row[0]
            how = "make one with: relog LOG -f csv -o LOG.csv"
            what = "separated by tabs" if tabs else f"it begins with {row[0][:40]!r}"
            raise PerfmonError(f"{self.path}: line {line}: is no PDH-CSV 4.0 log, {what}; {how}")
        self.zone = first["zone"] or ""
        if first["bias"]:
            self._bias = timedelta(minutes=int(first["bias"]))
        else:
            self.notes.append("the log does not say its time zone: its dates are taken for UTC")
        columns: dict[tuple[str, str], _Column] = {}
        for place, name in enumerate(row[1:], 1):
            if column := self._column(place, name.strip(), line):
                if (column.server, column.counter) in columns:
                    self._note("twice", f"column {place + 1}: {name} stands twice, the first one counts")
                columns.setdefault((column.server, column.counter), column)
        if not columns:
            raise PerfmonError(f"{self.path}: line {line}: there are no counters")
        self._note_localised(columns.values())
        return list(columns.values())

    def _column(self, place: int, name: str, line: int) -> _Column | None:
        found = _COLUMN.fullmatch(name)
        server, path = (found[1], found[2]) if found else ("", name)
        try:
            return _Column(place, server, str(CounterPath.parse(path)))
        except ValueError:
            self._note("path", f"line {line}: column {place + 1}: {name!r} is no counter's path, left out")
            return None

    def _note_localised(self, columns: Iterable[_Column]) -> None:
        foreign = [column.counter for column in columns if not _ENGLISH_OBJECTS.match(column.counter)]
        not_ascii = [counter for counter in foreign if not counter.isascii()]
        if not_ascii or len(foreign) == len(list(columns)):
            example = (not_ascii or foreign)[0]
            self.notes.append(
                f"counters are named in another language, such as {example}: limits know the English "
                "names, and do not find them; log on an English Windows, or rename them in the header"
            )

    def _moment(self, row: list[str], line: int) -> datetime | None:
        """When a row's sample was taken, in UTC; None for what typeperf says at its end."""
        found = _TIME.fullmatch(row[0])
        if found is None:
            if row[0].startswith("(PDH-CSV"):
                raise PerfmonError(f"{self.path}: line {line}: a second header; import each log by itself")
            if any(char.isdecimal() for cell in row for char in cell):
                raise PerfmonError(
                    f"{self.path}: line {line}: {row[0]!r} is no date such as 05/15/2018 02:13:06.123"
                )
            self._note("words", f"line {line}: {','.join(row).strip()!r} left out")
            return None
        month, day, year, hour, minute, second = (int(part) for part in found.groups()[:6])
        try:
            local = datetime(
                year, month, day, hour, minute, second, int((found[7] or "0").ljust(6, "0")), tzinfo=UTC
            )
        except ValueError:
            raise PerfmonError(
                f"{self.path}: line {line}: {row[0].strip()!r} is no date with the month first"
            ) from None
        return local + (self._bias or timedelta())

    def _back(self, by_s: float, line: int) -> float:
        """Dates are local time, which has one hour twice in autumn."""
        if by_s > _HOUR_S:
            raise PerfmonError(
                f"{self.path}: line {line}: time goes back by {by_s:.0f} s; import each log by itself"
            )
        self.notes.append(f"line {line}: time goes back by {by_s:.0f} s: taken for the end of summer time")
        return _HOUR_S

    def _values(
        self, columns: list[_Column], row: list[str], time_s: float, line: int
    ) -> Iterator[CounterSample]:
        for column in columns:
            cell = row[column.place].strip()
            if not cell:
                continue
            try:
                yield CounterSample(time_s, column.server, column.counter, float(cell))
            except ValueError:
                name = f"\\\\{column.server}{column.counter}" if column.server else column.counter
                raise PerfmonError(f"{self.path}: line {line}: {name}: {cell!r} is not a number") from None

    def _note(self, kind: str, text: str) -> None:
        """The first few of a kind; a log may have thousands."""
        self._told[kind] = self._told.get(kind, 0) + 1
        if self._told[kind] <= _NOTES_OF_A_KIND:
            self.notes.append(text)
        elif self._told[kind] == _NOTES_OF_A_KIND + 1:
            self.notes.append("… and more of this kind")


def import_perfmon(
    path: Path, folder: Path, each: Callable[[CounterSample], None] = lambda _: None
) -> Imported:
    """Reads a log into ``counters.csv`` of a folder; ``each`` gets every sample, too.

    Raises :class:`PerfmonError`, and :class:`~loadgen.errors.ProfileError` if the folder cannot be written.
    """
    log = PerfmonLog(path)
    figures: dict[tuple[str, str], _Figures] = {}
    target = folder / counters.FILE
    try:
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(counters.HEADER)
            writer.writerows(counters.rows(_noted(log.samples(), figures, each)))
    except OSError as error:
        raise ProfileError(f"{target}: {error.strerror}") from None
    return Imported(
        kind="perfmon",
        sources=(str(path),),
        imported=now(),
        started=log.started.isoformat(timespec="milliseconds") if log.started else None,
        ended=log.ended.isoformat(timespec="milliseconds") if log.ended else None,
        counters=tuple(found.told(*key) for key, found in figures.items()),
        notes=tuple(log.notes),
    )


def _noted(
    samples: Iterable[CounterSample],
    figures: dict[tuple[str, str], _Figures],
    each: Callable[[CounterSample], None],
) -> Iterator[CounterSample]:
    for sample in samples:
        key = (sample.server, sample.counter)
        if key not in figures:
            figures[key] = _Figures()
        figures[key].add(sample.value)
        each(sample)
        yield sample


def _encoding(path: Path) -> str:
    """By its first bytes; without a mark UTF-8 if the header is, else the code page of western Windows."""
    with path.open("rb") as file:
        head = file.readline()
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"
