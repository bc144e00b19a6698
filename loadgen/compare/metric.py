"""Figures by the paths that thresholds give them, and where each is found in the recorded intervals."""

from typing import Any, Final, NamedTuple

from loadgen.compare.bootstrap import MEAN, Statistic
from loadgen.errors import ProfileError
from loadgen.measure import threshold
from loadgen.measure.histogram import PERCENTILES
from loadgen.measure.sample import LAYERS, OPERATIONS

DEFAULT_METRIC: Final = "operations.send_message.response_ms.p95"
RATE: Final = "done_per_s"
KINDS: Final = {"response_ms": "response", "service_ms": "service"}
_TIMES: Final[dict[str, Statistic]] = {**PERCENTILES, MEAN: MEAN}


def _with_rates_and_means(paths: dict[str, Any]) -> dict[str, Any]:
    """The tree of ``summary.json`` with what is compared beside it."""
    operations = {
        name: branch | {RATE: {}} | {kind: branch[kind] | {MEAN: {}} for kind in KINDS}
        for name, branch in paths["operations"].items()
    }
    return paths | {"operations": operations}


PATHS: Final = _with_rates_and_means(threshold.PATHS)
"""Every figure that can be compared, as a tree."""


class Metric(NamedTuple):
    """A figure that the recorded intervals tell, so that it is known how sure it is."""

    path: str
    tag: str
    """Of ``latency.hlog``; an operation's name for a rate."""
    statistic: Statistic | None
    """None for a rate."""

    @property
    def unit(self) -> str:
        """What it is counted in."""
        return "/s" if self.statistic is None else "ms"


def metric_of(path: str) -> Metric | None:
    """The metric of this path; None if there is such a figure, and nothing tells how sure it is."""
    match path.split("."):
        case ["operations", operation, "done_per_s"] if operation in OPERATIONS:
            return Metric(path, operation, None)
        case ["operations", operation, kind, figure] if kind in KINDS and figure in _TIMES:
            return Metric(path, f"{operation}.{KINDS[kind]}", _TIMES[figure])
        case ["set_up", layer, figure] if layer in LAYERS and figure in _TIMES:
            return Metric(path, f"{layer}.service", _TIMES[figure])
    return None


def parse_metric(path: str) -> Metric:
    """The metric of this path; raises :class:`~loadgen.errors.ProfileError` that says what is allowed."""
    threshold.check_path(path, path, PATHS)
    metric = metric_of(path)
    if metric is None:
        raise ProfileError(
            f"option: metric: {path} has no intervals that tell how sure it is; give "
            f"operations.NAME.response_ms.p95, …service_ms.…, operations.NAME.{RATE} or set_up.LAYER.p95, "
            "and ask for the rest by --fail-on"
        )
    return metric


def compared_metrics() -> list[Metric]:
    """The figures that are looked at beside those that were asked for."""
    figures = [f"{kind}.{name}" for kind in KINDS for name in ("p50", "p95", "p99", MEAN)]
    found = (metric_of(f"operations.{name}.{figure}") for name in OPERATIONS for figure in (*figures, RATE))
    return [metric for metric in found if metric is not None]
