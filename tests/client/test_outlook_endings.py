"""How connections of a whole Outlook end: lost, given back with a goodbye, or just cut."""

from collections.abc import Callable

import pytest

from loadgen.client import mailbox
from loadgen.errors import (
    ConnectionLost,
    MapiError,
    PeerError,
    RemoteProtocolError,
    RpcFault,
    TimedOut,
    WrongAnswer,
)
from loadgen.wire import emsmdb, nspi, rfr

from .scripted_network import ONLINE, Network, client_type
from .scripted_store import settle

pytestmark = pytest.mark.usefixtures("no_complaints")

every_type = pytest.mark.parametrize("name", ONLINE)
GONE = ConnectionLost("gone")
BAD = RemoteProtocolError("a PDU that may not come now")
LOSSES: dict[str, Callable[[Network], None]] = {
    "mail": lambda network: network.connection_to(network.mail).lose(GONE),
    "mail, by a wrong PDU": lambda network: network.connection_to(network.mail).lose(BAD),
    "public folders": lambda network: network.connection_to(network.public).lose(GONE),
    "directory": lambda network: network.connection_to(network.directory).lose(GONE),
    "referral": lambda network: network.connection_to(network.referral).lose(GONE),
    "the wait for mail": lambda network: network.mail.end_wait(RpcFault(0x1C010003)),
    "the wait for mail, too long": lambda network: network.mail.end_wait(TimedOut("no answer")),
    "the wait for public folders": lambda network: network.public.end_wait(RpcFault(0x1C010003)),
}


class TestLosses:
    @pytest.mark.parametrize("loss", LOSSES)
    async def test_each_is_reported_once(self, person_of, loss):
        person = person_of()
        await person.client.log_on()
        LOSSES[loss](person.network)
        await settle()
        (error,) = person.heard
        assert isinstance(error, PeerError)
        (lost,) = [connection for connection in person.network.connections if connection.ended]
        assert lost.ended == ("aborted" if "wait" in loss else "lost")
        assert lost.on_lost is None
        assert sum(person.virtual_connections.values()) == 3
        person.assert_totals()
        person.client.abort()
        await settle()
        assert person.heard == [error]
        person.assert_totals()
        assert person.virtual_connections == {}

    async def test_all_at_once(self, person_of):
        person = person_of()
        await person.client.log_on()
        for connection in person.network.connections:
            connection.lose(ConnectionLost("gone"))
        await settle()
        assert len(person.heard) == 4
        assert person.virtual_connections == {}
        person.assert_totals()
        await person.client.end_startup()

    async def test_a_store_that_ends_the_session(self, person_of):
        person = person_of()
        await person.client.log_on()
        person.network.mail.change(
            emsmdb.EcDoRpcExt2Request, context_handle=emsmdb.NO_CONTEXT, return_value=0x80040305
        )
        with pytest.raises(MapiError, match="EcDoRpcExt2 returned 0x80040305"):
            await person.client.fetch_news()
        (error,) = person.heard
        assert isinstance(error, RemoteProtocolError)
        assert person.network.mail.connection.ended == "aborted"
        with pytest.raises(ConnectionLost):
            await person.client.fetch_news()
        assert person.heard == [error]


class TestLeaving:
    @every_type
    async def test_taking_leave(self, person_of, name):
        person = person_of(name)
        await person.client.log_on()
        opened = len(person.network.connections)
        await person.client.log_off()
        await settle()
        assert person.network.ended == ["closed"] * opened
        assert person.virtual_connections == {}
        assert person.heard == []
        last = {type(connection.requests[-1]) for connection in person.network.connections}
        leave = {emsmdb.EcDoDisconnectRequest}
        if "outlook" in name:
            leave |= {nspi.NspiUnbindRequest, rfr.RfrGetNewDSARequest}
        assert last == leave
        assert person.network.mail.objects == {}
        assert person.network.public.objects == {}
        person.assert_totals()

    @every_type
    async def test_just_cutting(self, person_of, name):
        person = person_of(client_type(name, disconnect="cut"))
        await person.client.log_on()
        before = person.network.bytes
        await person.client.log_off()
        await settle()
        assert set(person.network.ended) == {"aborted"}
        assert person.network.bytes == before
        assert person.heard == []
        person.assert_totals()

    async def test_a_runs_mail_goes_before_the_cut(self, person_of):
        """No goodbye is said, but what the run has left is looked for."""
        person = person_of(client_type("outlook2007-online-anywhere", disconnect="cut"))
        person.client._removing = "a1b2c3d4."
        looked = []

        async def remove_mail(store, logon, folder_ids, begins_with):
            assert person.virtual_connections
            looked.append(begins_with)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mailbox, "remove_mail", remove_mail)
            await person.client.log_on()
            await person.client.log_off()
        assert looked == ["a1b2c3d4."]
        assert set(person.network.ended) == {"aborted"}
        person.assert_totals()

    async def test_aborting_at_any_time(self, person_of):
        person = person_of()
        person.client.abort()
        person.client.abort()
        assert person.virtual_connections == {}
        person.assert_totals()

    @pytest.mark.parametrize(
        "outcome", [emsmdb.EcDoAsyncWaitExResponse(1), emsmdb.EcDoAsyncWaitExResponse(), RpcFault(5), b""]
    )
    @pytest.mark.parametrize("disconnect", ["proper", "cut"])
    async def test_what_is_under_way_is_not_heard_of(self, person_of, outcome, disconnect):
        person = person_of(client_type("outlook2007-online-anywhere", disconnect=disconnect))
        await person.client.log_on()
        person.network.mail.end_wait(outcome)
        person.network.public.end_wait(outcome)
        if disconnect == "cut":
            await person.client.log_off()
        else:
            person.client.abort()
        await settle()
        assert person.heard == []
        person.assert_totals()

    async def test_news_while_leaving_is_not_heard_of(self, person_of):
        person = person_of()
        await person.client.log_on()
        person.network.mail.change(emsmdb.EcDoDisconnectRequest, return_value=0)
        told = person.network.mail.answers[emsmdb.EcDoRpcExt2Request]

        def tell_more(request):
            person.network.mail.deliver("1.2.3 (1000 bytes)")
            return told(request)

        person.network.mail.answers[emsmdb.EcDoRpcExt2Request] = tell_more
        with pytest.raises(WrongAnswer, match="the Inbox holds"):
            await person.client.log_off()
        await settle()
        assert person.heard == []

    @pytest.mark.parametrize("peer", ["mail", "public", "directory"])
    async def test_a_loss_while_leaving_is_an_error_of_leaving(self, person_of, peer):
        person = person_of()
        await person.client.log_on()
        scripted = getattr(person.network, peer)
        kind = nspi.NspiUnbindRequest if peer == "directory" else emsmdb.EcDoDisconnectRequest

        def lose(_request):
            person.network.connection_to(scripted).lose(ConnectionLost("gone"))

        scripted.answers[kind] = lose
        with pytest.raises(ConnectionLost, match="gone"):
            await person.client.log_off()
        person.client.abort()
        await settle()
        assert person.heard == []
        assert person.virtual_connections == {}
        person.assert_totals()

    async def test_a_count_that_is_wrong(self, person_of):
        person = person_of()
        await person.client.log_on()
        person.network.mail.deliver("1.2.3 (1000 bytes)", tell=False)
        with pytest.raises(WrongAnswer, match="the Inbox holds 1 messages, not 0"):
            await person.client.log_off()
        assert person.virtual_connections == {"referral": 1, "directory": 1, "mail": 1, "public_folder": 1}
        person.client.abort()
        assert set(person.network.ended) == {"aborted"}
