"""Peers that live in the test: they get requests decoded from their stubs, and their answers are encoded."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from loadgen.client.account import Account
from loadgen.errors import ConnectionLost, PeerError, RpcFault
from loadgen.wire import nspi, rfr
from loadgen.wire.nspi import constants, tags
from loadgen.wire.pdu import SyntaxId
from loadgen.wire.properties import (
    PidTagAccount,
    PidTagAddressBookDisplayNamePrintable,
    PidTagDisplayName,
    PidTagEmailAddress,
    PidTagSmtpAddress,
    PropertyValue,
    PtypErrorCode,
)

Answer = Callable[[Any], Any]
"""Takes a request; gives a response, an exception to fail with, or None to stay silent."""


def make_account(index: int, home_server: str = "MBX1", public_server: str = "PF1") -> Account:
    alias = f"user{index:05d}"
    return Account(
        index=index,
        user=f"{alias}@contoso.test",
        password="secret",
        alias=alias,
        display_name=f"User {index:05d}",
        legacy_dn=f"/o=Contoso/ou=First Administrative Group/cn=Recipients/cn={alias}",
        smtp=f"{alias}@contoso.test",
        home_server=home_server,
        public_server=public_server,
    )


class ScriptedConnection:
    """An RpcConnection to one peer. ``silent`` are the calls that wait for their answer, oldest first."""

    def __init__(self, answer: Answer, interfaces: Sequence[SyntaxId]) -> None:
        self.on_lost: Callable[[PeerError], None] | None = None
        self.bytes_sent = 0
        self.bytes_received = 0
        self.answer = answer
        self.interfaces = tuple(interfaces)
        self.requests: list[Any] = []
        self.timeouts: list[float | None] = []
        self.silent: list[tuple[Any, asyncio.Future[bytes]]] = []
        self.ended = ""
        self._failure: PeerError | None = None

    async def call(self, request: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as the real one
        return request.decode_response(await self.begin(request, timeout))

    def begin(self, request: Any, timeout: float | None = None) -> "asyncio.Future[bytes]":
        if self._failure is not None:
            raise ConnectionLost(str(self._failure))
        assert request.interface in self.interfaces
        stub = request.encode()
        decoded = type(request).decode(stub)
        self.bytes_sent += len(stub)
        self.requests.append(decoded)
        self.timeouts.append(timeout)
        future = asyncio.get_running_loop().create_future()
        self.silent.append((decoded, future))
        self.reply(self.answer(decoded))
        return future

    def reply(self, response: Any, index: int = -1) -> None:
        """Answer the silent call at ``index``; None leaves it silent."""
        if response is None:
            return
        _, future = self.silent.pop(index)
        if isinstance(response, Exception):
            future.set_exception(response)
            return
        stub = response if isinstance(response, bytes) else response.encode()
        self.bytes_received += len(stub)
        future.set_result(stub)

    async def close(self) -> None:
        self._end("closed", ConnectionLost("closed by the client"))
        await asyncio.sleep(0)

    def abort(self) -> None:
        self._end("aborted", ConnectionLost("closed by the client"))

    def lose(self, error: PeerError) -> None:
        """The connection goes away by itself."""
        if not self.ended:
            self._end("lost", error)
            if self.on_lost is not None:
                self.on_lost(error)

    def _end(self, how: str, error: PeerError) -> None:
        if self.ended:
            return
        self.ended, self._failure = how, error
        silent, self.silent = self.silent, []
        for _, future in silent:
            if not future.done():
                future.set_exception(error)


class Script:
    """A peer by the class of the request: what a test wants otherwise, it puts in ``answers``."""

    def __init__(self) -> None:
        self.answers: dict[type, Answer] = {}

    def __call__(self, request: Any) -> Any:
        return self.answers[type(request)](request)

    def change(self, kind: type, **fields: Any) -> None:
        """From now on answers to requests of ``kind`` are as before but for these fields."""
        before = self.answers[kind]

        def changed(request: Any) -> Any:
            response = before(request)
            return msgspec.structs.replace(response, **fields)

        self.answers[kind] = changed

    def fail(self, kind: type, status: int = 0x1C010003) -> None:
        self.answers[kind] = lambda _request: RpcFault(status)


class ScriptedReferral(Script):
    """Sends everybody to ``server``."""

    def __init__(self, server: str) -> None:
        super().__init__()
        place = rfr.NamePlace(server)
        self.answers[rfr.RfrGetNewDSARequest] = lambda request: rfr.RfrGetNewDSAResponse(place)


class Entry(Struct, frozen=True):
    """Who stands in the directory, and under which number."""

    account: Account
    mid: int

    def value(self, tag: int) -> PropertyValue:
        account = self.account
        known = {
            PidTagDisplayName: account.display_name,
            PidTagEmailAddress: account.legacy_dn,
            PidTagSmtpAddress: account.smtp,
            PidTagAccount: account.alias,
            PidTagAddressBookDisplayNamePrintable: account.alias,
        }
        if tag in known:
            return PropertyValue(tag, known[tag])
        return PropertyValue(tag & 0xFFFF0000 | PtypErrorCode, constants.NOT_FOUND)

    def row(self, columns: Sequence[int]) -> nspi.Row:
        return tuple(self.value(tag) for tag in columns)


class ScriptedDirectory(Script):
    """An address book of accounts in the order of their names."""

    HANDLE = bytes(4) + b"nspi session 001"
    GUID = b"directory server"

    def __init__(self, accounts: Sequence[Account]) -> None:
        super().__init__()
        self.entries = [Entry(account, 0x10 + place) for place, account in enumerate(accounts)]
        self.answers = {
            nspi.NspiBindRequest: lambda request: nspi.NspiBindResponse(self.GUID, self.HANDLE),
            nspi.NspiUnbindRequest: lambda request: nspi.NspiUnbindResponse(),
            nspi.NspiGetSpecialTableRequest: self._special_table,
            nspi.NspiDNToMIdRequest: self._find,
            nspi.NspiGetPropsRequest: self._read,
            nspi.NspiResolveNamesWRequest: self._resolve,
            nspi.NspiUpdateStatRequest: self._move,
            nspi.NspiSeekEntriesRequest: self._seek,
            nspi.NspiQueryRowsRequest: self._query,
        }

    def __call__(self, request: Any) -> Any:
        assert isinstance(request, nspi.NspiBindRequest) or request.handle == self.HANDLE
        return super().__call__(request)

    def _special_table(self, request: nspi.NspiGetSpecialTableRequest) -> nspi.NspiGetSpecialTableResponse:
        row = (PropertyValue(tags.PidTagAddressBookContainerId, 0), PropertyValue(tags.PidTagDepth, 0))
        return nspi.NspiGetSpecialTableResponse(1, (row,))

    def _find(self, request: nspi.NspiDNToMIdRequest) -> nspi.NspiDNToMIdResponse:
        by_dn = {entry.account.legacy_dn: entry.mid for entry in self.entries}
        return nspi.NspiDNToMIdResponse(tuple(by_dn.get(name or "", 0) for name in request.names))

    def _read(self, request: nspi.NspiGetPropsRequest) -> nspi.NspiGetPropsResponse:
        entry = self.entries[request.stat.current_rec - 0x10]
        return nspi.NspiGetPropsResponse(entry.row(request.prop_tags or ()))

    def _resolve(self, request: nspi.NspiResolveNamesWRequest) -> nspi.NspiResolveNamesResponse:
        by_alias = {entry.account.alias: entry for entry in self.entries}
        found = [by_alias.get(name or "") for name in request.names]
        outcomes = tuple(constants.UNRESOLVED if entry is None else constants.RESOLVED for entry in found)
        rows = tuple(entry.row(request.prop_tags or ()) for entry in found if entry is not None)
        return nspi.NspiResolveNamesResponse(outcomes, rows)

    def _at(self, stat: nspi.Stat, place: int) -> nspi.Stat:
        at_end = place >= len(self.entries)
        return nspi.Stat(
            container_id=stat.container_id,
            current_rec=constants.END_OF_TABLE if at_end else self.entries[place].mid,
            num_pos=place,
            total_recs=len(self.entries),
        )

    def _move(self, request: nspi.NspiUpdateStatRequest) -> nspi.NspiUpdateStatResponse:
        return nspi.NspiUpdateStatResponse(self._at(request.stat, 0), 0)

    def _seek(self, request: nspi.NspiSeekEntriesRequest) -> nspi.NspiSeekEntriesResponse:
        names = [entry.account.display_name for entry in self.entries]
        places = [place for place, name in enumerate(names) if name >= request.target.value]
        if not places:
            return nspi.NspiSeekEntriesResponse(request.stat, None, constants.NOT_FOUND)
        rows = (self.entries[places[0]].row(request.prop_tags or ()),)
        return nspi.NspiSeekEntriesResponse(self._at(request.stat, places[0]), rows)

    def _query(self, request: nspi.NspiQueryRowsRequest) -> nspi.NspiQueryRowsResponse:
        place = request.stat.num_pos
        shown = self.entries[place : place + request.count]
        rows = tuple(entry.row(request.prop_tags or ()) for entry in shown)
        return nspi.NspiQueryRowsResponse(self._at(request.stat, place + len(shown)), rows)
