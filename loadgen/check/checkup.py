"""A check from beginning to end: what can be tried is tried, whatever else fails."""

from typing import Final

from msgspec.structs import replace

from loadgen.check.inside_firewall import InsideOpener
from loadgen.check.journal import Journal
from loadgen.check.network import look_up, reach, try_tls
from loadgen.check.opening import Opener
from loadgen.check.result import Result, Service, opening_steps, steps_of
from loadgen.check.services import (
    OpenMailbox,
    WrongServer,
    ask_referral,
    connect_store,
    count_inbox,
    leave,
    log_on,
    look_in_directory,
    open_public_folders,
    server_name,
)
from loadgen.check.sight import Sight
from loadgen.check.subject import Subject
from loadgen.check.through_proxy import ProxyOpener
from loadgen.client.account import RpcProxy
from loadgen.client.autodiscover import Autodiscover, Discovery, scheme_to_begin_with
from loadgen.client.dialect import UNKNOWN, Dialect, Evidence, tell_dialect
from loadgen.client.http_fetch import HttpFetch
from loadgen.client.inside import Inside
from loadgen.client.transport import RpcConnection
from loadgen.errors import PeerError, RemoteProtocolError
from loadgen.protocol.http_authentication import STRONGEST_FIRST, HttpScheme, candidates
from loadgen.trace.tracer import Tracer
from loadgen.wire import emsmdb, nspi, rfr
from loadgen.workload import library

MOST_REDIRECTS: Final = 3


async def check(subject: Subject, tracer: Tracer) -> Result:
    """Takes every step for ``subject``; ``tracer`` hears all that is said.

    Raises :class:`~loadgen.errors.ProfileError` for what the user has to put right before anything is asked.
    """
    checkup = _Checkup(subject, tracer)
    await checkup.take()
    return checkup.result()


class _Checkup:
    def __init__(self, subject: Subject, tracer: Tracer) -> None:
        options = replace(
            subject.options,
            tap=tracer,
            connect_timeout_s=subject.timeout_s,
            call_timeout_s=subject.timeout_s,
            establishment_timeout_s=subject.timeout_s,
        )
        self._subject = replace(subject, options=options)
        self._account = subject.account
        self._client = subject.client
        self._tracer = tracer
        self._sight = Sight()
        tracer.listeners.append(self._sight.listen)
        tried = tuple(candidate.name.lower() for candidate in candidates(options.auth))
        self._journal = Journal(steps_of(subject.client.transport), tried, tracer)
        self._dialect = Dialect()
        self._evidence = Evidence()
        self._scheme: HttpScheme | None = None
        known = self._client.transport == "tcp" and self._account.is_complete
        self._autodiscover = "off" if known else subject.autodiscover
        notifies = self._client.notification == "asynchronous"
        self._store = emsmdb.INTERFACE, *((emsmdb.ASYNC_INTERFACE,) if notifies else ())
        self._sent_to = ""
        """Where the store that was asked last says that the mailbox is."""

    def result(self) -> Result:
        """What has become of it."""
        seen = self._sight.seen()
        steps = tuple(
            replace(step, detail=_http_detail(seen.scheme_used, seen.schemes_offered))
            if step.name == "http" and step.outcome == "passed"
            else step
            for step in self._journal.steps
        )
        return Result(
            target=self._subject.target,
            user=self._account.credentials.name,
            mailbox=self._account.smtp,
            client=self._client.name,
            passed=not any(step.outcome == "failed" for step in steps),
            password_tried=self._sight.authorization_sent or self._bound_securely,
            steps=steps,
            seen=seen,
        )

    @property
    def _bound_securely(self) -> bool:
        binds = (step for step in self._journal.steps if step.name.startswith("bind_"))
        secured = self._subject.options.rpc_security != "none"
        return secured and any(step.outcome != "skipped" for step in binds)

    async def take(self) -> None:
        """All steps, the ones that the network allows."""
        opener = await (self._through_proxy() if self._client.transport == "http" else self._inside())
        if opener is None:
            self._journal.skipped(steps_of("http"), "the web server cannot be reached")
            return
        server = self._server
        directory_server = await self._refer(opener, server)
        await self._look_in_directory(opener, directory_server)
        await self._open_mailbox(opener, server)
        await self._open_public_folders(opener)
        await opener.finish()

    @property
    def _server(self) -> str:
        """The mailbox server, as far as it is known."""
        return self._account.home_server or self._subject.rpc_server or self._subject.host

    async def _through_proxy(self) -> Opener | None:
        """The way over HTTP, if the web server can be reached."""
        proxy = await self._reach()
        await self._discover(proxy)
        if proxy is None:
            return None
        proxy, ports = replace(proxy, path=self._dialect.path, scheme=self._scheme), self._dialect.ports
        opener = ProxyOpener(replace(self._subject, account=self._account), proxy, ports, self._journal)
        self._sight.schemes_offered = await opener.offered(self._server)
        return opener

    async def _inside(self) -> Opener:
        """The way over TCP, for which the web server has to be there only if the account is not complete."""
        proxy = await self._reach() if self._autodiscover == "target" else None
        self._journal.skipped(("dns", "tcp", "tls"), "the web server is not asked")
        await self._discover(proxy)
        subject = replace(self._subject, account=self._account)
        ports = subject.tcp_ports or self._dialect.tcp
        return InsideOpener(subject, Inside(ports, subject.server_addresses), self._journal)

    async def _reach(self) -> RpcProxy | None:
        """The target, if it can be talked to."""
        journal, subject = self._journal, self._subject
        addresses = await journal.run(
            "dns", look_up(subject.host, subject.port, subject.addresses, subject.timeout_s)
        )
        if not addresses:
            journal.skipped(("tcp", "tls"), f"{subject.host} has no address")
            return None
        proxy = RpcProxy(
            subject.host, subject.port, subject.tls, addresses, tls_settings=subject.tls_settings
        )
        reached = await journal.run("tcp", reach(proxy, subject.timeout_s))
        if not reached:
            journal.skipped(("tls",), "no TCP connection")
            return None
        proxy = replace(proxy, addresses=reached)
        if not subject.tls:
            journal.skipped(("tls",), "the target is http://")
            return proxy
        return proxy if await journal.run("tls", try_tls(proxy, subject.timeout_s)) else None

    async def _discover(self, proxy: RpcProxy | None) -> None:
        """Completes the account, and decides how the server is to be talked to."""
        subject, journal = self._subject, self._journal
        where, version = self._autodiscover, (0, 0, 0)
        if where == "off":
            why = "switched off" if subject.autodiscover == "off" else "the account is complete without it"
            journal.skipped(("autodiscover",), why)
        elif where == "target" and proxy is None:
            journal.skipped(("autodiscover",), "the web server cannot be reached")
        else:
            found = await journal.run("autodiscover", self._ask_autodiscover(where, proxy))
            if found is not None:
                self._account = found.complete(self._account)
                version = found.settings.server_version
                if proxy is not None and subject.options.auth == STRONGEST_FIRST:
                    self._scheme = scheme_to_begin_with(found.settings, proxy, (self._account,))
        account = self._account
        self._evidence = Evidence(version, account.legacy_dn, account.home_server)
        told, why = tell_dialect(self._evidence)
        self._sight.dialect, self._sight.dialect_reason = (
            (subject.dialect, "chosen") if subject.dialect else (told, why)
        )
        self._dialect = library.read("dialect", self._sight.dialect, Dialect)

    async def _ask_autodiscover(self, where: str, proxy: RpcProxy | None) -> tuple[Discovery, str]:
        subject = self._subject
        scheme = "https" if subject.tls else "http"
        target = f"{scheme}://{subject.host}:{subject.port}"
        addresses = {subject.host: proxy.addresses} if proxy is not None else {}
        fetch = HttpFetch(
            self._account.credentials,
            subject.tls_settings,
            subject.options.auth,
            addresses,
            tap=self._tracer,
        )
        url = {"target": target, "domain": ""}.get(where, where)
        found = await Autodiscover(fetch).find(self._account.smtp, url)
        return found, f"{found.settings.server or 'no server'} by {found.url}"

    async def _refer(self, opener: Opener, server: str) -> str:
        """Whom to ask about the directory.

        Without an answer it is the same server, where DSProxy is, but inside the firewall nobody: "".
        """
        otherwise = server if self._client.transport == "http" else ""
        if not self._asks_directory:
            self._skip("referral", ("referral",), f"{self._client.name} asks no directory")
            return server
        connection = await opener.open("referral", server, (rfr.INTERFACE,))
        if connection is None:
            self._journal.skipped(("referral",), "no connection to the referral service")
            return otherwise
        if not self._account.legacy_dn:
            self._journal.skipped(("referral",), "it asks for the DN, which is not known")
            return server
        return await self._journal.run("referral", ask_referral(connection, self._account)) or otherwise

    async def _look_in_directory(self, opener: Opener, server: str) -> None:
        if not self._asks_directory:
            self._skip("directory", ("directory",), f"{self._client.name} asks no directory")
            return
        if not server:
            self._skip("directory", ("directory",), "the referral service names no server")
            return
        connection = await opener.open("directory", server, (nspi.INTERFACE,))
        if connection is None:
            self._journal.skipped(("directory",), "no connection to the directory")
            return
        completed = await self._journal.run("directory", look_in_directory(connection, self._account))
        self._account = completed or self._account

    @property
    def _asks_directory(self) -> bool:
        """Whether the client type does, or nobody else tells the DN."""
        return bool(self._client.connections.directory) or not self._account.legacy_dn

    def _skip(self, service: Service, work: tuple[str, ...], why: str) -> None:
        """Nobody needs the service."""
        self._journal.skipped((*opening_steps(service, self._client.transport), *work), why)

    async def _open_mailbox(self, opener: Opener, server: str) -> None:
        connection = await opener.open("store", server, self._store)
        if connection is None:
            self._journal.skipped(("mailbox", "inbox"), "no connection to the mailbox store")
            return
        if not self._account.legacy_dn:
            why = "neither users file nor Autodiscover nor directory tells the DN"
            self._journal.skipped(("mailbox", "inbox"), why)
            return
        mailbox = await self._journal.run("mailbox", self._log_on(connection, server))
        if mailbox is None and self._sent_to:
            mailbox = await self._follow(opener, server)
        if mailbox is None:
            self._journal.skipped(("inbox",), "the mailbox is not open")
            return
        await self._journal.run("inbox", count_inbox(mailbox))
        await leave(mailbox)

    async def _log_on(self, connection: RpcConnection, server: str) -> tuple[OpenMailbox, str]:
        store, self._sight.server_version = await connect_store(connection, self._account, self._client)
        self._look_again()
        self._sent_to = ""
        try:
            mailbox = await log_on(store, self._account, server)
        except WrongServer as error:
            self._sent_to = error.server
            raise
        return mailbox, f"{self._account.display_name or self._account.smtp} on {server}"

    def _look_again(self) -> None:
        """Whether a store that tells its version is of another kind than it was taken for."""
        sight = self._sight
        version = tuple(map(int, sight.server_version.split(".")))
        evidence = replace(self._evidence, legacy_dn=self._account.legacy_dn, store_version=version)
        told, why = tell_dialect(evidence)
        if not self._subject.dialect and told not in (UNKNOWN, sight.dialect):
            sight.dialect_suggested = f"{told} ({why})"

    async def _follow(self, opener: Opener, server: str) -> OpenMailbox | None:
        """The mailbox where servers say that it is; its step has failed already, for it was not here."""
        way = [server]
        try:
            while True:
                server = self._sent_to
                way.append(server)
                if server in way[:-1] or len(way) > MOST_REDIRECTS:
                    raise RemoteProtocolError(f"the mailbox redirects in a circle: {', '.join(way)}")
                connection = await opener.open_quietly("store", server, self._store)
                try:
                    mailbox, _ = await self._log_on(connection, server)
                except WrongServer:
                    continue
                return mailbox
        except PeerError as error:
            self._journal.failed("mailbox", error, 0.0)
            return None

    async def _open_public_folders(self, opener: Opener) -> None:
        account, why = self._account, ""
        if not self._client.connections.public_folder:
            why = f"{self._client.name} does not open them"
        elif not self._dialect.public_folders and self._dialect.name == UNKNOWN:
            why = "nothing says whether this server has any"
        elif not self._dialect.public_folders:
            why = f"dialect {self._dialect.name} has no store for them"
        elif not account.public_server or not account.legacy_dn:
            why = "the account has no public folder server"
        if why:
            self._skip("public_folders", ("public_folders",), why)
            return
        server = server_name(account.public_server)
        connection = await opener.open("public_folders", server, self._store)
        if connection is None:
            self._journal.skipped(("public_folders",), "no connection to the public folder store")
            return
        work = open_public_folders(connection, account, self._client)
        await self._journal.run("public_folders", work)


def _http_detail(used: str, offered: tuple[str, ...]) -> str:
    return f"{used or 'anonymous'} taken; offered: {', '.join(offered) or 'nothing'}"
