"""Finding and reading profiles: strict TOML, ``extends``, and errors of one line that say what is allowed."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from loadgen.errors import ProfileError
from loadgen.workload.duration import Duration

KINDS: Final = ("campaign", "client", "dialect", "limits", "message", "topology")
"""Folders below ``profiles/``; topologies are read by the mock organisation, not here."""

StructT = TypeVar("StructT", bound=msgspec.Struct)
Table = dict[str, Any]
TypeForm = Any
"""An annotation as ``typing`` takes it apart: a class, ``Annotated``, ``Literal`` or a union."""

_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`")
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")
_NOT_ONE_OF: Final = re.compile(r"Invalid enum value (.*)")
_PATTERN: Final = re.compile(r"Expected `str` matching regex .*")
_TYPE: Final = re.compile(r"`([^`]+)`")
_IN_WORDS: Final = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "array": "a list",
    "object": "a table",
}
"""What whoever writes a profile calls msgspec's types; `null` can't be written there."""


def library_root() -> Path:
    """Where the built-in profiles are: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "profiles"
    return installed if installed.is_dir() else package.parent / "profiles"


def built_in_names(kind: str) -> tuple[str, ...]:
    """The names of the built-in profiles of one kind, sorted."""
    return tuple(sorted(path.stem for path in (library_root() / kind).glob("*.toml")))


def find(kind: str, name: str, near: Path | None = None) -> Path:
    """The file of a profile: a built-in name, or a path (has a slash or ends in ``.toml``) from ``near``.

    Raises :class:`~loadgen.errors.ProfileError`.
    """
    if "/" in name or name.endswith(".toml"):
        path = (near or Path()) / Path(name).expanduser()
        if not path.is_file():
            raise ProfileError(f"{path}: {'is no file' if path.exists() else 'there is no such file'}")
        return path
    known = built_in_names(kind)
    if name not in known:
        files = sorted(path.name for path in (near or Path()).glob("*.toml"))
        raise ProfileError(
            f"{name!r} is no built-in {kind} profile{_near_misses(name, (*known, *files))}; "
            f"known: {', '.join(known) or 'none'}; or give a path ending in .toml"
        )
    return library_root() / kind / f"{name}.toml"


def read(kind: str, name: str, shape: type[StructT], near: Path | None = None) -> StructT:
    """Reads a profile and all that it extends; ``name`` defaults to the file's own.

    Raises :class:`~loadgen.errors.ProfileError` with the file, the key and what is allowed there.
    """
    path = find(kind, name, near)
    table = {"name": path.stem} | _read_table(kind, path, ())
    return convert(table, shape, str(path))


def read_table(kind: str, name: str) -> Table:
    """The plain values of a profile and of all that it extends, whatever they are.

    Raises :class:`~loadgen.errors.ProfileError`.
    """
    return _read_table(kind, find(kind, name), ())


def convert(table: Mapping[str, object], shape: type[StructT], source: str, *, lax: bool = False) -> StructT:
    """A typed profile from plain values; ``lax`` takes numbers from text, as options of a command line are.

    Raises :class:`~loadgen.errors.ProfileError`, whose text begins with ``source``.
    """
    try:
        return msgspec.convert(table, shape, strict=not lax, dec_hook=_decode_special)
    except msgspec.ValidationError as error:
        raise ProfileError(f"{source}: {explain(str(error), shape)}") from None


def to_table(profile: msgspec.Struct) -> Table:
    """Plain values of a profile as a file would say them, empty keys left out."""
    table: Table = msgspec.to_builtins(profile, enc_hook=str)
    return {key: value for key, value in table.items() if value is not None}


def explain(problem: str, shape: type) -> str:
    """One of msgspec's messages as ``key: what is wrong; what is allowed``."""
    text, _, path = problem.partition(" - at `$")
    path = path.removesuffix("`").removeprefix(".")
    if unknown := _UNKNOWN.fullmatch(text):
        allowed = _allowed(_type_at(shape, path))
        return f"{_join(path, unknown[1])}: unknown key{_near_misses(unknown[1], allowed)}; {_list(allowed)}"
    if missing := _MISSING.fullmatch(text):
        return f"{_join(path, missing[1])}: missing"
    if wrong := _NOT_ONE_OF.fullmatch(text):
        return f"{path}: {wrong[1]} is not allowed; {_list(_allowed(_type_at(shape, path)))}"
    if _PATTERN.fullmatch(text):
        return f"{path}: expected {_form(_annotated_at(shape, path))}"
    text = _TYPE.sub(_in_words, text[:1].lower() + text[1:])
    return f"{path}: {text}" if path else text


def _in_words(types: re.Match[str]) -> str:
    named = [name for name in types[1].split(" | ") if name != "null"]
    return " or ".join(_IN_WORDS.get(name, name) for name in named)


def _near_misses(name: str, known: Sequence[str]) -> str:
    """Those that hold the name, or else are like it, or begin like it."""
    name = name.lower()
    near = [each for each in known if name in each] or get_close_matches(name, known)
    near = near or [each for each in known if get_close_matches(name, (each[: len(name)],), cutoff=0.8)]
    return f" (did you mean {' or '.join(near[:3])}?)" if near else ""


def _read_table(kind: str, path: Path, extended_by: tuple[Path, ...]) -> Table:
    if path.resolve() in extended_by:
        raise ProfileError(f"{path}: extends: goes round in a circle")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: not TOML: {error}") from None
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from None
    base = table.pop("extends", None)
    if base is None:
        return table
    if not isinstance(base, str):
        raise ProfileError(f"{path}: extends: expected a name or a path as text")
    try:
        base_path = find(kind, base, path.parent)
    except ProfileError as error:
        raise ProfileError(f"{path}: extends: {error}") from None
    return _overlay(_read_table(kind, base_path, (*extended_by, path.resolve())), table)


def _overlay(base: Table, changes: Table) -> Table:
    """Tables are merged key by key; everything else, arrays included, is replaced."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = _overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _decode_special(kind: type, value: object) -> Duration:
    if kind is not Duration:
        raise NotImplementedError(kind)
    if not isinstance(value, str):
        raise ValueError(f"expected a duration as text, such as '45s', got {value!r}")
    return Duration.parse(value)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _type_at(shape: TypeForm, path: str) -> TypeForm:
    """The type that ``path`` leads to, as :func:`_plain` has it."""
    return _plain(_annotated_at(shape, path))


def _annotated_at(shape: TypeForm, path: str) -> TypeForm:
    """What ``path`` (``group[0].users``, or ``group[...]``) leads to, starting from a Struct."""
    for step in filter(None, re.split(r"\.|(?=\[)", path)):
        shape = _plain(shape)
        if step.startswith("["):
            shape = get_args(shape)[0]
        else:
            shape = next(field.type for field in msgspec.structs.fields(shape) if field.encode_name == step)
    return shape


def _form(shape: TypeForm) -> str:
    """In words what text a pattern stands for."""
    return next(part.description or "" for part in get_args(shape) if isinstance(part, msgspec.Meta))


def _plain(shape: TypeForm) -> TypeForm:
    """A type without its constraints, and without ``| None``."""
    while (origin := _origin(shape)) is Annotated or origin is Union or origin is UnionType:
        shape = next(part for part in get_args(shape) if part is not type(None))
    return shape


def _origin(shape: TypeForm) -> object:
    return get_origin(shape)


def _allowed(shape: TypeForm) -> tuple[str, ...]:
    if _origin(shape) is Literal:
        return tuple(map(str, get_args(shape)))
    return tuple(field.encode_name for field in msgspec.structs.fields(shape))


def _list(allowed: Sequence[str]) -> str:
    return f"allowed: {', '.join(allowed)}"
