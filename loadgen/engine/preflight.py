"""Why the first user does not get in, in the words of ``loadgen check``: at which step, what would help."""

from loadgen.check.finding import Finding
from loadgen.check.known_failures import known
from loadgen.check.result import STEPS
from loadgen.engine.security import connection_options
from loadgen.errors import (
    ConnectionLost,
    HttpRefused,
    NameNotFound,
    PeerError,
    TimedOut,
    TlsFailed,
    TransportError,
)
from loadgen.protocol.http_authentication import candidates
from loadgen.workload.campaign import Campaign


def explain(error: PeerError, campaign: Campaign) -> str:
    """The step, the error, and of a known failure its meaning and remedy, in one line."""
    step = step_of(error)
    tried = tuple(each.name.lower() for each in candidates(connection_options(campaign).auth))
    row = known(Finding(step, error, tried))
    told = str(error) or type(error).__name__
    where = f"{STEPS[step]}: " if step and not told.startswith(STEPS[step]) else ""
    help_ = f"{row.meaning} {row.remedy}" if row else "'loadgen check' tries each step by itself."
    return f"{where}{told}. {help_}"


def step_of(error: PeerError) -> str:
    """The step of a check at which the error would be met; "" if that cannot be told.

    What opens a connection has layers of its own below it, which the kind of error tells.
    """
    way, _, service = error.step.partition("_")
    if way == "rts":
        return _step_through_proxy(error)
    if way in ("map", "tcp") and isinstance(error, NameNotFound):
        return f"dns_{service}" if service else "dns"
    if way == "map" and _without_tcp(error):
        return f"mapper_{service}"
    return error.step if error.step in STEPS else ""


def _step_through_proxy(error: PeerError) -> str:
    if isinstance(error, TlsFailed):
        return "tls"
    if isinstance(error, HttpRefused) and error.rpc_error is None:
        return "http"
    if isinstance(error, NameNotFound):
        return "dns"
    return "tcp" if _without_tcp(error) else error.step


def _without_tcp(error: PeerError) -> bool:
    """Whether not even TCP is there."""
    if isinstance(error, TimedOut):
        return "no TCP connection" in str(error)
    return isinstance(error, TransportError) and not isinstance(error, ConnectionLost)
