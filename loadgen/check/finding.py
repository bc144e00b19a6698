"""What a known failure is, and by what one is recognised."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from loadgen.errors import HttpRefused, MapiError, PeerError, RpcFault

FOR_A_MOCK: Final = (
    "For a mock that runs already give mock=URL as the target: it tells names and ports itself."
)
"""What helps whoever takes the mock's addresses for those of a real target."""


class Finding(Struct, frozen=True):
    """A step that failed, with all that may tell why."""

    step: str
    error: PeerError
    tried: tuple[str, ...] = ()
    """Names of the HTTP schemes that were to be tried, in lower case."""
    cut_short: int = 0
    """Bytes of a PDU whose rest did not come before the connection ended."""

    @property
    def text(self) -> str:
        """What the error says."""
        return str(self.error)


class KnownFailure(Struct, frozen=True):
    """One row: ``fits`` says whether it is this one."""

    name: str
    fits: Callable[[Finding], bool]
    meaning: str
    remedy: str
    source: str


def text(kind: type[PeerError], *parts: str) -> Callable[[Finding], bool]:
    """An error of this kind that says one of these things."""

    def fits(finding: Finding) -> bool:
        return isinstance(finding.error, kind) and any(part in finding.text for part in parts)

    return fits


def http(status: int, reason: str = "") -> Callable[[Finding], bool]:
    """An HTTP answer with this status, and a reason that begins so."""

    def fits(finding: Finding) -> bool:
        error = finding.error
        return isinstance(error, HttpRefused) and error.status == status and error.reason.startswith(reason)

    return fits


def rpc_error(*codes: int) -> Callable[[Finding], bool]:
    """A ``503 RPC Error`` with one of these codes."""

    def fits(finding: Finding) -> bool:
        return isinstance(finding.error, HttpRefused) and finding.error.rpc_error in codes

    return fits


def mapi(*codes: int, call: str = "") -> Callable[[Finding], bool]:
    """One of these codes, from a call whose name begins so."""

    def fits(finding: Finding) -> bool:
        error = finding.error
        return isinstance(error, MapiError) and error.code in codes and error.call.startswith(call)

    return fits


def fault(*codes: int) -> Callable[[Finding], bool]:
    """A fault PDU with one of these codes."""
    return lambda finding: isinstance(finding.error, RpcFault) and finding.error.status in codes


def in_steps(kind: type[PeerError], *steps: str) -> Callable[[Finding], bool]:
    """An error of this kind in a step whose name begins so."""
    return lambda finding: isinstance(finding.error, kind) and finding.step.startswith(steps)
