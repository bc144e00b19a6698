"""A Kerberos realm by MIT's KDC, and Apache as a gate that lets nobody through but with a ticket for it.

Apache proves the user by mod_auth_gssapi, passes both bodies of a channel on as they come, and tells the web
server behind it who it is by Basic. Neither its modules nor the KDC know NTLM.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.mock_organisation import MockOrganisation

REALM, GATE, PORT = "CONTOSO.TEST", "mail.contoso.test", 18088
_MODULES = Path("/usr/lib/apache2/modules")
_PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit", "apache2")
_START_S, _STOP_S, _POLL_S = 20.0, 10.0, 0.05

needs_kerberos = pytest.mark.skipif(
    os.geteuid() != 0
    or not all(importlib.util.find_spec(name) for name in ("gssapi", "krb5"))
    or not all(map(shutil.which, _PROGRAMS))
    or not (_MODULES / "mod_auth_gssapi.so").exists(),
    reason="needs root, Python's gssapi and krb5 (docs/security.md), and Debian's packages krb5-kdc, "
    "krb5-admin-server, krb5-user, apache2 and libapache2-mod-auth-gssapi",
)

_KRB5 = """
[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
[realms]
 {realm} = {{
  kdc = {kdc}:{port}
 }}
[domain_realm]
 .contoso.test = {realm}
"""
_KDC = """
[kdcdefaults]
 kdc_listen = {kdc}:{port}
 kdc_tcp_listen = {kdc}:{port}
[realms]
 {realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  supported_enctypes = aes256-cts:normal
 }}
"""
_APACHE = """
ServerRoot /usr/lib/apache2
ServerName {gate}
Listen {apache}:{port}
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
ErrorLog {folder}/error.log
{modules}
User nobody
Group nogroup
LogFormat "%m %>s %u" user
CustomLog {folder}/access.log user
<Location />
 AuthType GSSAPI
 AuthName gate
 GssapiCredStore keytab:{folder}/keytab
 GssapiAllowedMech krb5
 Require valid-user
 RequestHeader set Authorization "Basic {basic}"
 ProxyPass http://{host}:{behind}/ ping=5 flushpackets=on
</Location>
"""
_LOADED = (
    "mpm_event",
    "authn_core",
    "authz_core",
    "authz_user",
    "auth_gssapi",
    "headers",
    "proxy",
    "proxy_http",
)


class Realm:
    """One that runs, with user 0 of a mock as its only user and a gate to that mock."""

    def __init__(self, folder: Path, mock: MockOrganisation) -> None:
        self.account = mock.account(0)
        self.principal = f"{self.account.alias}@{REALM}"
        network = mock.base_address.rpartition(".")[0]
        self.address, self._kdc = f"{network}.92", f"{network}.91"
        self._folder = folder
        places = {"realm": REALM, "gate": GATE, "port": PORT, "folder": folder, "kdc": self._kdc}
        basic = b64encode(f"{self.account.smtp}:{self.account.credentials.password}".encode()).decode()
        (folder / "krb5.conf").write_text(_KRB5.format(**places))
        (folder / "kdc.conf").write_text(_KDC.format(**places))
        modules = "\n".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in _LOADED)
        (folder / "apache.conf").write_text(
            _APACHE.format(
                **places, apache=self.address, modules=modules, basic=basic, host=mock.host, behind=mock.port
            )
        )

    @property
    def environment(self) -> dict[str, str]:
        """Of a machine that belongs to the realm, and has no ticket."""
        files = {"KRB5_CONFIG": "krb5.conf", "KRB5_KDC_PROFILE": "kdc.conf", "KRB5CCNAME": "no-tickets"}
        return os.environ | {key: str(self._folder / name) for key, name in files.items()}

    @property
    def with_ticket(self) -> dict[str, str]:
        """Of one on which the user has logged on."""
        environment = self.environment | {"KRB5CCNAME": str(self._folder / "tickets")}
        self._run(["kinit", self.principal], f"{self.account.credentials.password}\n", environment)
        return environment

    def requests(self) -> list[tuple[str, str, str]]:
        """Method, status and principal of each request that Apache has seen; "-" is nobody."""
        lines = (self._folder / "access.log").read_text(encoding="ascii").splitlines()
        return [(method, status, user) for method, status, user in map(str.split, lines)]

    def found(self) -> None:
        """Make its database, with keys for the user and the gate."""
        self._run(["kdb5_util", "create", "-r", REALM, "-s", "-P", "master"])
        self._administer(f"addprinc -pw {self.account.credentials.password} {self.account.alias}")
        self.key_of("HTTP", GATE)

    def key_of(self, service: str, host: str) -> str:
        """Make a service known; gives the keytab that has its key beside those of the others."""
        keytab = self._folder / "keytab"
        self._administer(f"addprinc -randkey {service}/{host}")
        self._administer(f"ktadd -norandkey -k {keytab} {service}/{host}")
        keytab.chmod(0o644)
        return str(keytab)

    def _administer(self, said: str) -> None:
        self._run(["kadmin.local", "-r", REALM, "-q", said])

    @contextmanager
    def serving(self) -> Iterator[None]:
        """KDC and Apache listen."""
        with (
            self._daemon("krb5kdc", "-n", "-r", REALM, "-P", str(self._folder / "kdc.pid"), at=self._kdc),
            self._daemon("apache2", "-f", str(self._folder / "apache.conf"), "-DFOREGROUND", at=self.address),
        ):
            yield

    @contextmanager
    def _daemon(self, *command: str, at: str) -> Iterator[None]:
        environment = self.environment | {"KRB5RCACHENAME": "none:"}
        with (self._folder / command[0]).open("wb") as said:
            process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        try:
            deadline = time.monotonic() + _START_S
            while not _listens(at):
                assert process.poll() is None, (self._folder / command[0]).read_text()
                assert time.monotonic() < deadline, f"{command[0]} does not listen"
                time.sleep(_POLL_S)
            yield
        finally:
            process.terminate()
            process.wait(_STOP_S)

    def _run(self, command: list[str], said: str = "", environment: dict[str, str] | None = None) -> None:
        subprocess.run(
            command,
            input=said.encode(),
            env=environment or self.environment,
            check=True,
            capture_output=True,
            timeout=_START_S,
        )


@contextmanager
def running_realm(mock: MockOrganisation) -> Iterator[Realm]:
    """A realm with a gate to ``mock``, on addresses of its network, gone with the test."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # Apache's workers read the keytab as nobody
        realm = Realm(folder, mock)
        realm.found()
        with realm.serving():
            yield realm


def _listens(address: str) -> bool:
    try:
        socket.create_connection((address, PORT), timeout=_STOP_S).close()
    except OSError:
        return False
    return True
