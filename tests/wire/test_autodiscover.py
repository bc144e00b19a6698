import pytest

from loadgen.errors import WireError
from loadgen.wire.autodiscover import (
    LARGEST_ANSWER,
    AutodiscoverRequest,
    MailboxSettings,
    RedirectAddress,
    RedirectUrl,
    Refusal,
    WebServer,
    decode_answer,
    parse,
    version_of,
)

ADMINISTRATIVE_GROUP = "/o=Gromox default/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)"
SERVER = "75303031-4065-7861-6d70-6c6501000000@example.test"
SERVER_DN = f"{ADMINISTRATIVE_GROUP}/cn=Configuration/cn=Servers/cn={SERVER}"

# Shapes of the specification's and of real servers' answers, with made-up names.
EXCHANGE = b"""<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">
  <Response xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a">
    <User><DisplayName>User &amp; Co</DisplayName></User>
    <Account><AccountType>email</AccountType><Action>settings</Action>
      <Protocol><Type>EXPR</Type><Server> mail.example.com </Server><SSL>Off</SSL>
        <AuthPackage>Ntlm</AuthPackage><CertPrincipalName>msstd:mail.example.com</CertPrincipalName></Protocol>
      <Protocol><Type>EXHTTP</Type><Server>in.example.com</Server></Protocol>
      <Protocol><Type>EXHTTP</Type><Server>out.example.com</Server></Protocol>
      <Protocol><Type>EXCH</Type><Server>MBX1</Server><Port>6101</Port><DirectoryPort>6104</DirectoryPort>
        <ReferralPort>many</ReferralPort></Protocol>
      <Protocol><Type>WEB</Type></Protocol>
    </Account>
  </Response>
</Autodiscover>"""


def answer(inner: str) -> bytes:
    return f"<Autodiscover><Response>{inner}</Response></Autodiscover>".encode()


def test_a_recorded_request_is_ours_but_for_blanks(vector):
    recorded = vector("autodiscover/request.hex")
    request = AutodiscoverRequest("u001@example.test")
    assert AutodiscoverRequest.decode(recorded) == request
    assert request.encode().replace(b"\n", b"") == recorded.replace(b"\n", b"")
    assert AutodiscoverRequest.decode(request.encode()) == request


def test_an_address_cannot_break_out_of_its_element():
    request = AutodiscoverRequest("<a&b>@x.org")
    assert AutodiscoverRequest.decode(request.encode()) == request


def test_a_recorded_answer_of_gromox(vector):
    settings = decode_answer(vector("autodiscover/gromox-answer.hex"))
    assert settings == MailboxSettings(
        display_name="Test User u001",
        legacy_dn=f"{ADMINISTRATIVE_GROUP}/cn=Recipients/cn=0100000001000000-u001",
        address="u001@example.test",
        server=SERVER,
        server_dn=SERVER_DN,
        server_version=(15, 0, 847),
        database_dn=f"{SERVER_DN}/cn=Microsoft Private MDB",
        rpc_auth_package="anonymous",
        public_folder_server="exch.example.test",
        store_port=0,
        referral_port=0,
        directory_port=0,
        web_servers=(
            WebServer("EXHTTP", "exch.example.test", True, "basic", "none"),
            WebServer("EXPR", "exch.example.test", True, "basic", "none"),
        ),
    )
    assert settings.web_server is settings.web_servers[1]


def test_an_answer_as_exchange_gives_it():
    settings = decode_answer(EXCHANGE)
    assert isinstance(settings, MailboxSettings)
    assert (settings.display_name, settings.legacy_dn, settings.server) == ("User & Co", "", "MBX1")
    assert (settings.store_port, settings.referral_port, settings.directory_port) == (6101, 0, 6104)
    assert settings.web_server == WebServer("EXPR", "mail.example.com", False, "ntlm", "mail.example.com")


def test_without_expr_the_last_exhttp_is_the_external_one():
    settings = decode_answer(EXCHANGE.replace(b"EXPR", b"EXHTTP", 1))
    assert isinstance(settings, MailboxSettings)
    assert settings.web_server == WebServer("EXHTTP", "out.example.com", True, "", "")
    empty = decode_answer(answer("<Account/>"))
    assert isinstance(empty, MailboxSettings)
    assert empty.web_server is None


@pytest.mark.parametrize(
    ("inner", "meaning"),
    [
        ("<Account><RedirectAddr>a@b.org</RedirectAddr></Account>", RedirectAddress("a@b.org")),
        ("<Account><RedirectUrl> https://x/ </RedirectUrl></Account>", RedirectUrl("https://x/")),
        ("<Error><ErrorCode>600</ErrorCode><Message>Invalid</Message></Error>", Refusal(600, "Invalid")),
        ("<Error/>", Refusal(0, "")),
    ],
)
def test_answers_that_are_no_settings(inner, meaning):
    assert decode_answer(answer(inner)) == meaning


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<Autodiscover><Response>&b;</Response></Autodiscover>"""


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not XML"),
        (b"<html><body>Hello</body></html>", "Response at byte 0: missing"),
        (b"<Autodiscover/>", "Response at byte 0: missing"),
        (answer(""), "Account at byte 0: missing"),
        (BOMB, "document types and entities are refused"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "document types and entities are refused"),
        (b"<a>&b;</a>", "not XML: undefined entity"),
        (b"<a>" * 30, "elements stand too deep"),
        (b" " * (LARGEST_ANSWER + 1), "bytes are too many"),
        (b'<?xml version="1.0" encoding="utf-7"?><a/>', "not XML"),
        (b'<?xml version="1.0" encoding="nothing-known"?><a/>', "not XML"),
    ],
)
def test_what_is_no_answer_is_refused(data, problem):
    with pytest.raises(WireError, match=problem):
        decode_answer(data)


def test_every_truncation_is_refused(vector):
    data = vector("autodiscover/gromox-answer.hex")
    for end in range(len(data.rstrip())):
        with pytest.raises(WireError):
            decode_answer(data[:end])


@pytest.mark.parametrize("data", [b"<Autodiscover/>", b"<Other><Request/></Other>"])
def test_what_asks_nothing_is_no_request(data):
    with pytest.raises(WireError, match="EMailAddress"):
        AutodiscoverRequest.decode(data)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("73C085D9", (15, 0, 1497)),
        ("73C2845E", (15, 2, 1118)),
        ("738180DA", (14, 1, 218)),
        ("15.0", (0, 0, 0)),
        ("", (0, 0, 0)),
    ],
)
def test_versions_are_bits(text, version):
    assert version_of(text) == version


def test_elements_keep_their_attributes_and_texts():
    document = parse(b'<a xmlns:n="urn:n"><n:b Type="mapiHttp">one<c/>two</n:b></a>')
    (element,) = document.all("b")
    assert (element.attributes, element.text, document.value("b/c"), document.value("x/y", "none")) == (
        {"Type": "mapiHttp"},
        "onetwo",
        "",
        "none",
    )
