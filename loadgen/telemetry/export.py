"""Where a run's figures go while it lasts, besides its results."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from loadgen.errors import ProfileError
from loadgen.telemetry.meter import Meter

LOOPBACK: Final = "127.0.0.1"
EXTRA: Final = "pip install 'outlook-loadgen[telemetry]'"
_HIGHEST_PORT: Final = 65_535


class Endpoint(NamedTuple):
    """Where Prometheus may ask."""

    address: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """``ADDRESS:PORT``, or ``PORT`` for this machine alone.

        Raises :class:`~loadgen.errors.ProfileError`.
        """
        address, _, port = text.rpartition(":")
        address = address.removeprefix("[").removesuffix("]") or LOOPBACK
        try:
            ip_address(address)
            is_port = port.isdecimal() and int(port) <= _HIGHEST_PORT
        except ValueError:
            is_port = False
        if not is_port:
            raise ProfileError(f"option: metrics: {text!r} is not ADDRESS:PORT, such as {LOOPBACK}:9464")
        return cls(address, int(port))

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{address}:{self.port}/metrics"


class Exports(NamedTuple):
    """Who gets the figures: Prometheus, which asks for them, and a collector, to which they are sent."""

    metrics: Endpoint | None = None
    otlp: str | None = None

    @classmethod
    def parse(cls, metrics: str | None, otlp: str | None) -> "Exports":
        """Of the options' words; raises :class:`~loadgen.errors.ProfileError`."""
        if otlp is not None and (
            urlsplit(otlp).scheme not in ("http", "https") or not urlsplit(otlp).hostname
        ):
            raise ProfileError(f"option: otlp: {otlp!r} is no address, such as http://{LOOPBACK}:4318")
        return cls(None if metrics is None else Endpoint.parse(metrics), otlp)


@contextmanager
def exporting(exports: Exports, say: Callable[[str], None]) -> Iterator[Meter | None]:
    """Lets others see what is put into the meter; None if nobody wants to.

    Raises :class:`~loadgen.errors.ProfileError` if the endpoint cannot be had, or a library is missing.
    """
    if exports == Exports():
        yield None
        return
    meter = Meter()
    with ExitStack() as stack:
        if exports.metrics is not None:
            _serve(exports.metrics, meter, say, stack)
        if exports.otlp is not None:
            _push(exports.otlp, meter, say, stack)
        yield meter


def _serve(endpoint: Endpoint, meter: Meter, say: Callable[[str], None], stack: ExitStack) -> None:
    try:
        from loadgen.telemetry import prometheus  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ProfileError(f"option: metrics: {error.name} is not installed: {EXTRA}") from None
    try:
        port = stack.enter_context(
            prometheus.serving(endpoint.address, endpoint.port, lambda: meter.readings)
        )
    except OSError as error:
        raise ProfileError(f"option: metrics: {endpoint.address}:{endpoint.port}: {error.strerror}") from None
    say(f"metrics: {endpoint._replace(port=port)}")


def _push(endpoint: str, meter: Meter, say: Callable[[str], None], stack: ExitStack) -> None:
    try:
        from loadgen.telemetry import otlp  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ProfileError(f"option: otlp: {error.name} is not installed: {EXTRA}") from None
    stack.enter_context(
        otlp.pushing(endpoint, lambda: meter.readings, say, version=version("outlook-loadgen"))
    )
