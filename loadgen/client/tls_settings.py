"""How TLS is spoken with a web server: values only, so that they travel to worker processes."""

from typing import Literal, TypeAlias

from msgspec import Struct

TlsVersion: TypeAlias = Literal["1.0", "1.1", "1.2", "1.3"]


class TlsSettings(Struct, frozen=True):
    """What a client trusts and shows; files are in PEM form.

    ``ca_file`` replaces the certificate authorities of this machine. ``insecure`` takes any certificate. With
    a ``client_certificate``, which may hold its key too, the proxy is asked for under ``/rpcwithcert``.
    ``server_name`` is what the certificate has to say, and SNI; "" is the proxy's host.
    """

    ca_file: str = ""
    insecure: bool = False
    client_certificate: str = ""
    client_key: str = ""
    server_name: str = ""
    minimum: TlsVersion = "1.2"
    maximum: TlsVersion = "1.3"
