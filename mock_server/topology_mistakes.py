"""What is wrong with a topology, said of the key that its author wrote."""

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import AddressValueError, IPv4Address
from types import UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from mock_server.topology import ConnectingServer, ServerTable, Topology

TypeForm = Any
"""An annotation as ``typing`` takes it apart: a class, ``Annotated``, ``Literal`` or a union."""

_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`")
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")
_PATTERN: Final = re.compile(r"Expected `str` matching regex .*")
_RANGE: Final = re.compile(r"Expected `(\w+)`( of length)? ([<>]=?) (.*)")
_TYPE: Final = re.compile(r"Expected `(.*)`, got `(.*)`")
_INDEX: Final = re.compile(r"\[(\d+)\]")
_NEEDED: Final = ("mailbox", "global_catalog")
_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "object": "a table",
    "array": "a list",
}


class Mistake(NamedTuple):
    """A problem, and the dotted key that has it, as ``--set`` would write it."""

    key: str
    problem: str

    def concerns(self, changed: str) -> bool:
        """Whether a change of the key ``changed`` brought it about."""
        return f"{self.key}.".startswith(f"{changed}.") or f"{changed}.".startswith(f"{self.key}.")


def mistakes_in(topology: Topology) -> Iterator[Mistake]:
    """What types can't say: forms of addresses and names, and that no two servers share one."""
    yield from _wrong_roles(topology)
    named = [(f"{place}.name", place, server.name.lower()) for place, server in _servers(topology)]
    addressed = [place for each in _servers(topology) for place in _addresses(*each)]
    own = (("base_address", topology.base_address), ("counters.address", topology.counters.address))
    for key, address in (*own, *((key, address) for key, _, address in addressed)):
        if not _is_address(address):
            yield Mistake(key, f"{address!r} is not an IPv4 address")
    yield from _shared("name", named)
    yield from _shared("address", addressed)
    names = {name for *_, name in named}
    for index, fault in enumerate(topology.faults.planned):
        if fault.server.lower() not in names:
            yield Mistake(f"faults.planned.{index}.server", f"there is no server {fault.server}")
    for key in ("alias", "display_name"):
        try:
            getattr(topology.accounts, key).format(index=0)
        except (KeyError, IndexError, ValueError) as error:
            yield Mistake(f"accounts.{key}", f"not a format string of index: {error}")


def _wrong_roles(topology: Topology) -> Iterator[Mistake]:
    """Which servers there must be, and which there may not be."""
    if not topology.manners.one_process:
        yield from (Mistake(role, "missing") for role in _NEEDED if not getattr(topology, role))
        return
    alone = f"{topology.dialect} is one client access server of one process, and nothing else"
    for role in ("reverse_proxy", *_NEEDED, "public_folders"):
        if getattr(topology, role):
            yield Mistake(role, alone)
    if len(topology.client_access) > 1 or topology.client_access[0].processes > 1:
        yield Mistake("client_access", alone)
    if topology.http.simulate_farm:
        yield Mistake("http.simulate_farm", alone)
    if "negotiate" in topology.security.http:
        yield Mistake("security.http", f"{topology.dialect} takes NTLM without SPNEGO around it: ntlm")


def _servers(topology: Topology) -> Iterator[tuple[str, ServerTable]]:
    """Each server with the key of its table."""
    for role in ("reverse_proxy", "client_access", "mailbox", "public_folders", "global_catalog"):
        for index, server in enumerate(getattr(topology, role)):
            yield f"{role}.{index}", server


def _addresses(place: str, server: ServerTable) -> Iterator[tuple[str, str, str]]:
    """Each address of a server: its key, the key of the server's table, and itself."""
    yield f"{place}.address", place, server.address
    if isinstance(server, ConnectingServer):
        for index, address in enumerate(server.source_addresses):
            yield f"{place}.source_addresses.{index}", place, address


def _shared(what: str, places: Sequence[tuple[str, str, str]]) -> Iterator[Mistake]:
    for key, server, value in places:
        if any(value == other for _, owner, other in places if owner != server):
            yield Mistake(key, f"two servers have the {what} {value}")


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def mistake_of(error: msgspec.ValidationError) -> Mistake:
    """The mistake for which a topology was refused."""
    text, _, path = str(error).partition(" - at `$")
    key = _INDEX.sub(r".\1", path.removesuffix("`")).removeprefix(".")
    if unknown := _UNKNOWN.fullmatch(text):
        allowed = ", ".join(field.encode_name for field in msgspec.structs.fields(_type_at(key)))
        return Mistake(_joined(key, unknown[1]), f"unknown key; allowed: {allowed}")
    if missing := _MISSING.fullmatch(text):
        return Mistake(_joined(key, missing[1]), "missing")
    return Mistake(key, _problem(text, key))


def _problem(text: str, key: str) -> str:
    if _PATTERN.fullmatch(text):
        return f"expected {_form(_annotated_at(key))}"
    if wrong := _TYPE.fullmatch(text):
        wanted, got = (" or ".join(_words(types)) for types in wrong.groups())
        return f"expected {wanted}, got {got}"
    if out := _RANGE.fullmatch(text):
        kind, of_length, sign, bound = out.groups()
        return f"expected {_WORDS[kind]}{of_length or ''} {sign} {bound}"
    allowed = ", ".join(map(str, _choices(_type_at(key))))
    return f"{text.removeprefix('Invalid enum value ')} is not allowed; allowed: {allowed}"


def _words(types: str) -> Iterable[str]:
    return (_WORDS.get(each, each) for each in types.split(" | ") if each != "null")


def _joined(key: str, below: str) -> str:
    return f"{key}.{below}" if key else below


def _type_at(key: str) -> TypeForm:
    """The type that stands at a dotted key, constraints taken off."""
    shape = _annotated_at(key)
    return shape if _origin(shape) in (Union, UnionType) else next(iter(_parts(shape)))


def _annotated_at(key: str) -> TypeForm:
    """The type that stands at a dotted key."""
    shape: TypeForm = Topology
    for step in filter(None, key.split(".")):
        kinds = list(_parts(shape))
        if step.isdecimal():
            shape = next(get_args(kind)[0] for kind in kinds if _origin(kind) is tuple)
        else:
            fields = msgspec.structs.fields(kinds[0])
            shape = next(field.type for field in fields if field.encode_name == step)
    return shape


def _form(shape: TypeForm) -> str:
    """In words what text a pattern stands for."""
    return next(part.description or "" for part in get_args(shape) if isinstance(part, msgspec.Meta))


def _parts(shape: TypeForm) -> Iterable[TypeForm]:
    """The members of a union, or the one type that a shape is."""
    origin = _origin(shape)
    if origin is Annotated:
        yield from _parts(get_args(shape)[0])
    elif origin in (Union, UnionType):
        for part in get_args(shape):
            yield from _parts(part)
    else:
        yield shape


def _choices(shape: TypeForm) -> Iterable[TypeForm]:
    """What a key may be set to: its literals, and other kinds of value in words."""
    for part in _parts(shape):
        if _origin(part) is Literal:
            yield from get_args(part)
        elif part is int:
            yield "a whole number"
        elif _origin(part) is tuple:
            yield "a list"


def _origin(shape: TypeForm) -> object:
    return get_origin(shape)
