"""Finding and reading topologies: strict TOML, ``extends``, and what a command line changes."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from loadgen.errors import ProfileError
from mock_server.topology import ConnectingServer, CountersSettings, ServerTable, Topology
from mock_server.topology_mistakes import Mistake, mistake_of, mistakes_in

Table: TypeAlias = dict[str, object]
AddressedT = TypeVar("AddressedT", bound=CountersSettings | ServerTable)
ConnectingT = TypeVar("ConnectingT", bound=ConnectingServer)


def built_in_names() -> tuple[str, ...]:
    """The names of the topologies that come with the mock."""
    return tuple(sorted(path.stem for path in _library().glob("*.toml")))


def read_topology(
    name: str, *, base_address: str | None = None, changes: Mapping[str, object] | None = None
) -> Topology:
    """The topology of a built-in name or a ``.toml`` file, after ``changes`` (dotted keys, as in ``--set``).

    ``base_address`` moves all addresses by as much as it differs from the topology's own. Raises
    :class:`ProfileError`, which names the file and the key.
    """
    path = _find(name, Path())
    table = _read(path, ())
    changes = changes or {}
    for key, value in changes.items():
        _change(table, key.split("."), value, f"--set {key}")
    try:
        topology = msgspec.convert(table, Topology)
    except msgspec.ValidationError as error:
        raise _refused([mistake_of(error)], path, changes) from None
    if mistakes := list(mistakes_in(topology)):
        raise _refused(mistakes, path, changes)
    return topology if base_address is None else _moved(topology, base_address)


class TopologySource(msgspec.Struct, frozen=True):
    """Where a topology comes from, so that it can be read again: see :func:`read_topology`."""

    name: str
    base_address: str | None = None
    changes: dict[str, object] = {}

    def read(self) -> Topology:
        """The topology as its file says it now; raises :class:`ProfileError`."""
        return read_topology(self.name, base_address=self.base_address, changes=self.changes)


def parse_change(text: str) -> tuple[str, object]:
    """``key=value`` of ``--set``: the value as TOML, or else as it stands."""
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise ProfileError(f"--set {text}: not of the form key=value")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def _library() -> Path:
    """Inside the package ``loadgen`` when installed, beside it in a checkout."""
    root = Path(__file__).parents[1]
    installed = root / "loadgen" / "profiles"
    return (installed if installed.is_dir() else root / "profiles") / "topology"


def _find(name: str, near: Path) -> Path:
    if "/" in name or name.endswith(".toml"):
        return near / name
    path = _library() / f"{name}.toml"
    if not path.is_file():
        raise ProfileError(
            f"{name!r} is no built-in topology; known: {', '.join(built_in_names())}; or give a .toml file"
        )
    return path


def _read(path: Path, extended_by: tuple[Path, ...]) -> Table:
    if path.resolve() in extended_by:
        raise ProfileError(f"{path}: extends: goes round in a circle")
    try:
        table: Table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: not TOML: {error}") from None
    base = table.pop("extends", None)
    if base is None:
        return table
    if not isinstance(base, str):
        raise ProfileError(f"{path}: extends: expected a name or a path")
    return _overlay(_read(_find(base, path.parent), (*extended_by, path.resolve())), table)


def _overlay(base: Table, changes: Table) -> Table:
    """Tables are merged key by key; everything else, arrays included, is replaced."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = _overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _change(table: object, steps: list[str], value: object, source: str) -> None:
    """Set one key; a step into an array is a number that counts from 0."""
    step = steps[0]
    if isinstance(table, list) and step.isdecimal() and int(step) < len(table):
        table = {step: table[int(step)]} if len(steps) > 1 else table
    if not isinstance(table, dict):
        raise ProfileError(f"{source}: there is no such key")
    if len(steps) == 1:
        table[step] = value
    else:
        _change(table.setdefault(step, {}), steps[1:], value, source)


def _refused(mistakes: Sequence[Mistake], path: Path, changes: Iterable[str]) -> ProfileError:
    """The first mistake that a change has made, or else the first of the file."""
    made = [each for each in mistakes if any(each.concerns(key) for key in changes)]
    source, mistake = ("--set ", made[0]) if made else (f"{path}: ", mistakes[0])
    return ProfileError(f"{source}{mistake.key}: {mistake.problem}")


def _parse_address(address: str, source: str) -> int:
    try:
        return int(IPv4Address(address))
    except AddressValueError:
        raise ProfileError(f"{source}: {address!r} is not an IPv4 address") from None


def _moved(topology: Topology, base_address: str) -> Topology:
    distance = _parse_address(base_address, "--base-address") - int(IPv4Address(topology.base_address))

    def moved(address: str) -> str:
        return str(IPv4Address(address) + distance)

    def move(table: AddressedT) -> AddressedT:
        return replace(table, address=moved(table.address))

    def move_all(table: ConnectingT) -> ConnectingT:
        return replace(move(table), source_addresses=tuple(map(moved, table.source_addresses)))

    return replace(
        topology,
        base_address=base_address,
        counters=move(topology.counters),
        reverse_proxy=tuple(map(move_all, topology.reverse_proxy)),
        client_access=tuple(map(move_all, topology.client_access)),
        mailbox=tuple(map(move_all, topology.mailbox)),
        public_folders=tuple(map(move, topology.public_folders)),
        global_catalog=tuple(map(move, topology.global_catalog)),
    )
