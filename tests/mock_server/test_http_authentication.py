"""Logging on over HTTP: pyspnego is the client, leg by leg."""

from base64 import b64decode, b64encode

import pytest
import spnego

from loadgen.wire import ntlm
from loadgen.wire.http import basic_authorization
from loadgen.wire.ntlm import AvId, Challenge
from loadgen.wire.spnego import KERBEROS, NTLMSSP, NegTokenInit, NegTokenResp
from loadgen.wire.spnego import decode as decode_spnego
from mock_server.counters import LOGON_PROBLEMS, ProxyStatistics
from mock_server.security.accounts import LogonProblem
from mock_server.security.http_authentication import HttpPolicy, Verdict
from mock_server.security.logon import ntlm_server
from mock_server.topology_file import read_topology
from mock_server.web import HttpConnection

PASSWORD = "Passw0rd!"
ALL = ("basic", "ntlm", "negotiate")
OFFERS = (
    "WWW-Authenticate: Negotiate",
    "WWW-Authenticate: NTLM",
    'WWW-Authenticate: Basic realm="contoso.test"',
)
REFUSED = Verdict(None, OFFERS, is_final=True)
RAW = ("ntlm", spnego.NegotiateOptions.use_ntlm)
WRAPPED = ("negotiate", spnego.NegotiateOptions.none)


def policy(*schemes, expired=()):
    topology = read_topology("default", changes={"security.expired": expired})
    server = ntlm_server(topology, "CAS1", topology.directory())
    return HttpPolicy(schemes or ALL, server, ProxyStatistics())


class Client:
    """A connection, and a client that authenticates on it."""

    def __init__(self, of, scheme="NTLM", form=RAW, user="CONTOSO\\user00001", password=PASSWORD):
        self.check = of.connection().check
        self.scheme = scheme
        protocol, options = form
        self.engine = spnego.client(user, password, hostname="mail", protocol=protocol, options=options)

    def send(self, token):
        return self.check(f"{self.scheme} {b64encode(token).decode()}")

    def challenge(self, verdict):
        assert verdict.user is None
        (line,) = verdict.lines
        head, _, token = line.rpartition(" ")
        assert head == f"WWW-Authenticate: {self.scheme}"
        return b64decode(token)

    def log_on(self):
        """The verdict over the last leg."""
        return self.send(self.engine.step(self.challenge(self.send(self.engine.step()))))


@pytest.mark.parametrize(("scheme", "form"), [("NTLM", RAW), ("Negotiate", RAW), ("Negotiate", WRAPPED)])
@pytest.mark.parametrize("user", ["CONTOSO\\user00001", "user00001@contoso.test", "user00001"])
def test_three_legs_let_the_connection_in(scheme, form, user):
    client = Client(policy(), scheme, form, user)
    verdict = client.log_on()
    assert verdict.user == "user00001"
    assert client.check(None) == Verdict("user00001")
    for line in verdict.lines:
        assert client.engine.step(b64decode(line.rpartition(" ")[2])) is None
    assert client.engine.complete


def test_what_is_offered_at_first():
    everything = policy()
    assert everything.connection().check(None) == Verdict(None, OFFERS)
    assert policy("basic").connection().check("NTLM TlRMTVNTUAAB") == Verdict(None, OFFERS[2:])
    assert everything.statistics.unauthorized == 1
    assert not everything.statistics.refused_logons


@pytest.mark.parametrize("form", [RAW, WRAPPED])
@pytest.mark.parametrize(
    ("user", "password", "expired", "problem"),
    [
        ("CONTOSO\\user00001", "wrong", (), "WRONG_PASSWORD"),
        ("CONTOSO\\nobody", PASSWORD, (), "UNKNOWN_USER"),
        ("FABRIKAM\\user00001", PASSWORD, (), "UNKNOWN_USER"),
        ("user00001@fabrikam.test", PASSWORD, (), "UNKNOWN_USER"),
        ("CONTOSO\\user00001", PASSWORD, (0, 1), "PASSWORD_EXPIRED"),
    ],
)
def test_refusals_look_alike_but_are_told_apart(form, user, password, expired, problem):
    everything = policy(expired=expired)
    scheme = "NTLM" if form is RAW else "Negotiate"
    client = Client(everything, scheme, form, user, password)
    assert client.log_on() == REFUSED
    assert client.check(None).user is None
    assert everything.statistics.refused_logons == {problem: 1}


def test_basic_is_refused_alike():
    everything = policy(expired=(2,))
    for user, password in (("user00001", "wrong"), ("nobody", PASSWORD), ("user00002", PASSWORD)):
        assert everything.connection().check(basic_authorization(user, password)) == REFUSED
    assert everything.statistics.refused_logons == dict.fromkeys(LOGON_PROBLEMS[:3], 1)
    assert everything.connection().check(basic_authorization("user00001", PASSWORD)).user == "user00001"


def test_problems_have_the_names_of_their_counters():
    assert tuple(problem.name for problem in LogonProblem) == LOGON_PROBLEMS


@pytest.mark.parametrize("credentials", ["!", "", b64encode(b"NTLMSSP\0\3\0\0\0").decode()])
@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate"])
def test_what_is_no_token(scheme, credentials):
    everything = policy()
    assert everything.connection().check(f"{scheme} {credentials}") == REFUSED
    assert everything.statistics.refused_logons == {"BAD_TOKEN": 1}


def test_an_anonymous_ntlm_client_is_nobody():
    client = Client(policy())
    client.challenge(client.send(client.engine.step()))
    assert client.send(ntlm.Authenticate(0xA0888A05, "").encode()) == REFUSED


def test_where_anonymous_is_let_in():
    open_door = policy("anonymous", "ntlm")
    assert open_door.connection().check(None) == Verdict("")
    assert open_door.connection().check(basic_authorization("user00001", PASSWORD)) == Verdict("")
    assert Client(open_door).log_on().user == "user00001"
    refused = Client(open_door, password="wrong")
    assert refused.log_on().user is None
    assert refused.check(None) == Verdict("")


def test_a_second_logon_on_a_connection_takes_its_place():
    everything = policy()
    client = Client(everything)
    client.log_on()
    other = Client(everything, user="CONTOSO\\user00002")
    other.check = client.check
    assert other.log_on().user == "user00002"
    assert client.check(None).user == "user00002"


def test_a_changed_message_breaks_the_mic():
    """Only the MIC knows of the first message."""
    client = Client(policy())
    first = client.engine.step()
    challenge = client.challenge(client.send(first[:-1] + b"\x0e"))
    assert client.send(client.engine.step(challenge)) == REFUSED


def test_what_the_challenge_says():
    client = Client(policy())
    challenge = Challenge.decode(client.challenge(client.send(client.engine.step())))
    told = {pair.av_id: pair.value for pair in challenge.target_info}
    assert challenge.target_name == told[AvId.NB_DOMAIN_NAME].decode("utf-16-le") == "CONTOSO"
    assert told[AvId.NB_COMPUTER_NAME].decode("utf-16-le") == "CAS1"
    assert told[AvId.DNS_COMPUTER_NAME].decode("utf-16-le") == "cas1.contoso.test"
    assert len(told[AvId.TIMESTAMP]) == 8


@pytest.mark.parametrize("name", ["negotiate_http_recorded", "negotiate_rpc_recorded", "negotiate_pyspnego"])
def test_recorded_first_messages_are_answered(vector, name):
    client = Client(policy())
    challenge = Challenge.decode(client.challenge(client.send(vector(f"ntlm/{name}.hex"))))
    assert challenge.flags & ntlm.NEGOTIATE_TARGET_INFO


def test_a_client_that_prefers_kerberos_is_asked_for_ntlm():
    client = Client(policy(), "Negotiate")
    offer = NegTokenInit((KERBEROS, NTLMSSP), b"a ticket").encode()
    answer = decode_spnego(client.challenge(client.send(offer)))
    assert answer == NegTokenResp(3, NTLMSSP)
    first = NegTokenResp(response_token=client.engine.step()).encode()
    challenge = decode_spnego(client.challenge(client.send(first)))
    last = NegTokenResp(response_token=client.engine.step(challenge.response_token)).encode()
    assert client.send(last).user == "user00001"


@pytest.mark.parametrize(
    "tokens",
    [
        (NegTokenInit((KERBEROS,), b"a ticket"),),
        (NegTokenResp(response_token=b"x"),),
        (NegTokenInit((NTLMSSP,)), NegTokenInit((NTLMSSP,))),
        (NegTokenInit((NTLMSSP,)), NegTokenResp()),
    ],
)
def test_negotiations_that_lead_nowhere(tokens):
    client = Client(policy(), "Negotiate")
    *first, last = (token.encode() for token in tokens)
    for token in first:
        client.challenge(client.send(token))
    assert client.send(last) == REFUSED


def test_over_http_leg_by_leg():
    """impacket's way: no query and Content-Length 0 first, then the channel on the same connection."""
    client = Client(policy())
    http = HttpConnection(client.check)
    leg = "RPC_IN_DATA /rpc/rpcproxy.dll HTTP/1.1\r\nHost: mail\r\nContent-Length: 0\r\n"
    leg += "Authorization: NTLM %s\r\n\r\n"
    assert http.receive((leg % b64encode(client.engine.step()).decode()).encode()) is None
    head = bytes(http.output).partition(b"\r\n\r\n")[0].decode()
    assert head.startswith("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM ")
    assert not http.closing
    token = client.engine.step(b64decode(head.splitlines()[1].split()[-1]))
    last = leg.replace("dll", "dll?MBX1:6001").replace(": 0", ": 1073741824") % b64encode(token).decode()
    channel = http.receive(last.encode())
    assert (channel.server, channel.port, channel.user) == ("MBX1", 6001, "user00001")
