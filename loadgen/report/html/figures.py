"""Charts as plotly figures in plain values; colours are names that the page's style sheet gives a value.

A colour is ``@name``: the script resolves it, for the theme at hand, before it draws. Text from outside is
escaped here, since plotly takes some HTML in texts for markup.
"""

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from loadgen.measure.sample import LAYERS
from loadgen.measure.store import Phase
from loadgen.report.html import latency_series
from loadgen.report.html.latency_series import LatencySeries, Times
from loadgen.report.html.run_series import Marks, Points, RunSeries
from loadgen.report.layout import safe
from loadgen.report.summary import Latency

Figure = dict[str, Any]
"""``data`` and ``layout`` of a plotly figure."""

RESPONSE: Final = ("response", "@response", "solid")
SERVICE: Final = ("service", "@service", "dash")
_SYMBOLS: Final = ("x", "diamond", "triangle-up", "square", "star", "cross", "circle", "hourglass")
_COLOURS: Final = {
    "reconnected": "@good",
    **dict.fromkeys(("failure", "log_on_failed", "connection_lost", "worker_lost", "bug"), "@bad"),
}
"""Of events; all others are warnings."""
_COUNTS: Final = {
    "expected": ("expected", "@muted", "solid"),
    "client": ("counted by clients", "@users", "dashdot"),
    "mock": ("counted by mock", "@service", "dot"),
    "kernel": ("counted by kernel", "@response", "dash"),
}
"""Lines of connections: name, colour and dash, each over those before it."""
_LONGEST_TEXT: Final = 120
_SHARE_PER_LETTER: Final = 0.009
"""Of a chart's width, on a wide screen."""
_LONG_RUN_S: Final = 7200
_TICKS_S: Final = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_FRACTIONS: Final = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
_DECADES_MS: Final = tuple(10.0**power for power in range(-3, 7))


def course_of_run(
    series: RunSeries, phases: Sequence[Phase], planned: int, step_s: float, length_s: float
) -> Figure:
    """Users and connections over time, and below them the events, a lane for each kind."""
    users = [
        _line("users logged on", series.gauges["users_logged_on"], "@users", shape="hv"),
        _level("users planned", planned, series.gauges["users_logged_on"]),
    ]
    counted = [
        _pieces(name, series.connections[party], colour, dash)
        for party, (name, colour, dash) in _COUNTS.items()
        if party in series.connections
    ]
    lanes = list(_lanes(series.marks, step_s))
    tall = 0.09 * max(1, min(len(lanes), 4)) if lanes else 0.0
    middle = (1 - tall) / 2
    layout = {
        "height": 420 + 24 * len(lanes),
        "xaxis": time_axis(length_s) | {"anchor": "y3" if lanes else "y2"},
        "yaxis": _axis("users", [middle + tall + 0.04, 1]),
        "yaxis2": _axis("TCP connections", [tall + (0.05 if lanes else 0), middle + tall - 0.02]),
        "shapes": [_boundary(phase) for phase in phases],
        "annotations": [name for phase in phases if (name := _phase_name(phase, length_s))],
        "margin": {"t": 24},
        "hovermode": "closest" if lanes else "x unified",
    }
    if lanes:
        layout["yaxis3"] = {"domain": [0, tall], "type": "category", "autorange": "reversed", "ticks": ""}
    return {"data": [*users, *counted, *lanes], "layout": layout}


def percentiles(response: Times, service: Times | None) -> Figure:
    """Percentile curves of one operation on the HDR scale: each step to the right is ten times as rare."""
    lines = []
    top = 1.0
    for times, (name, colour, dash) in ((response, RESPONSE), (service, SERVICE)):
        if times is None:
            continue
        points = list(latency_series.curve(times.total))
        top = max(top, max((1 / (1 - percentile / 100) for percentile, _ in points), default=1.0))
        lines.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": [_round(1 / (1 - percentile / 100)) for percentile, _ in points],
                "y": [_round(ms) for _, ms in points],
                "customdata": [f"{percentile:.6g}" for percentile, _ in points],
                "line": {"color": colour, "dash": dash, "width": 2},
                "hovertemplate": "%{y:,.3~r} ms at %{customdata} %",
            }
        )
    ticks = [fraction for fraction in _FRACTIONS if 1 / (1 - fraction / 100) <= top * 1.01]
    layout = {
        "height": 190,
        "showlegend": False,
        "xaxis": {
            "type": "log",
            "range": [0, max(1.0, math.log10(top)) * 1.02],
            "tickvals": [_round(1 / (1 - fraction / 100)) for fraction in ticks],
            "ticktext": [f"{fraction:g}" for fraction in ticks],
            "title": {"text": "percentile"},
        },
        "yaxis": _milliseconds(lines),
        "margin": {"t": 8, "b": 40},
    }
    return {"data": lines, "layout": layout}


def course_of_latency(operation: str, series: LatencySeries, run: RunSeries, length_s: float) -> Figure:
    """Response beside service time over time, and how many operations ended."""
    lines = []
    for kind, colour, dash in (RESPONSE, SERVICE):
        times = series.times.get(f"{operation}.{kind}")
        if times is not None:
            lines.append(_steps(f"{kind} p99", times.course.p99, series.step_s, colour, dash))
            if kind == "response":
                lines.append(_steps("response p50", times.course.p50, series.step_s, "@response", "dot", 1))
    counts = run.operations.get(operation, {})
    for name, colour, pattern in (
        ("done", "@quiet", ""),
        ("failed", "@bad", "x"),
        ("skipped", "@warn", "/"),
    ):
        if name in counts:
            lines.append(_bars(name, counts[name], series.step_s, colour, pattern))
    return {
        "data": lines,
        "layout": {
            "height": 380,
            "barmode": "stack",
            "bargap": 0,
            "xaxis": time_axis(length_s) | {"anchor": "y2"},
            "yaxis": _milliseconds(lines) | {"domain": [0.36, 1], "title": {"text": "ms"}},
            "yaxis2": _axis("per second", [0, 0.26]),
        },
    }


def heat_map(times: Times, step_s: float, length_s: float) -> Figure:
    """How many of an operation's response times fell where, by time and by length.

    ``z`` holds counts; the script draws their logarithm (``meta.scale``).
    """
    rows = times.course.rows
    if not rows:
        return {"data": [], "layout": {"height": 300}}
    low = min(min(each) for each in rows.values())
    high = max(max(each) for each in rows.values()) + 1
    first, last = min(rows), max(rows) + 1
    counts = [[rows.get(step, {}).get(row, 0) for step in range(first, last)] for row in range(low, high)]
    trace = {
        "type": "heatmap",
        "meta": {"scale": "log"},
        "x": [_round(step * step_s) for step in range(first, last + 1)],
        "y": [_round(latency_series.row_ms(row)) for row in range(low, high + 1)],
        "z": counts,
        "colorscale": [[0.0, "@heat-0"], [0.35, "@heat-1"], [0.7, "@heat-2"], [1.0, "@heat-3"]],
        "colorbar": {"title": {"text": "operations"}, "thickness": 10, "outlinewidth": 0, "len": 1},
        "hovertemplate": "%{x} s, %{y:,.3~r} ms: %{customdata} operations<extra></extra>",
        "hoverongaps": False,
    }
    return {
        "data": [trace],
        "layout": {
            "height": 300,
            "hovermode": "closest",
            "xaxis": time_axis(length_s) | {"showgrid": False},
            "yaxis": _decades(10**9, 0) | {"title": {"text": "response, ms"}, "showgrid": False},
        },
    }


def layers(set_up: Mapping[str, Latency]) -> Figure:
    """Median, 99th percentile and maximum of each layer of opening connections."""
    measured = [name for name in LAYERS if name in set_up and set_up[name].p50 is not None]
    data: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [end for name in measured for end in (set_up[name].p50, set_up[name].max, None)],
            "y": [label for name in measured for label in (name, name, None)],
            "line": {"color": "@quiet", "width": 6},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]
    for figure, symbol in (("p50", "circle"), ("p99", "diamond"), ("max", "line-ns-open")):
        values = [getattr(set_up[name], figure) for name in measured]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": figure,
                "x": values,
                "y": measured,
                "marker": {
                    "color": "@response",
                    "symbol": symbol,
                    "size": 10,
                    "line": {"width": 2, "color": "@response"},
                },
                "hovertemplate": "%{x:,.3~r} ms",
            }
        )
    return {
        "data": data,
        "layout": {
            "height": 96 + 28 * len(measured),
            "hovermode": "closest",
            "xaxis": _decades(10**9, 0) | {"title": {"text": "ms"}},
            "yaxis": {"autorange": "reversed", "type": "category", "ticks": "", "showgrid": False},
        },
    }


def generator(series: RunSeries, lag_bound_ms: float, busy_bound: float, length_s: float) -> Figure:
    """The generator's own lag and its busiest worker, each with the bound that makes a run INVALID."""
    lag, busy = series.gauges["lag_p99_ms"], series.gauges["busy"]
    percent = [(at, 100 * share) for at, share in busy]
    return {
        "data": [
            _line("lag p99", lag, "@response"),
            _level("bound of lag", lag_bound_ms, lag),
            _line("busiest worker", percent, "@users", axis="2"),
            _level("bound of busy worker", 100 * busy_bound, busy, axis="2"),
        ],
        "layout": {
            "height": 320,
            "xaxis": time_axis(length_s) | {"anchor": "y2"},
            "yaxis": _axis("lag, ms", [0.56, 1]),
            "yaxis2": _axis("busy, %", [0, 0.44]),
        },
    }


def time_axis(length_s: float) -> Figure:
    """Time since the start of the run, in minutes and seconds, or in hours and minutes if it is long."""
    unit_s, title = (60, "min:s") if length_s < _LONG_RUN_S else (3600, "h:min")
    step_s = next((step for step in _TICKS_S if length_s <= 6 * step), _TICKS_S[-1])
    at = range(0, int(length_s) + 1, step_s)
    return {
        "title": {"text": f"since the start, {title}"},
        "range": [0, length_s],
        "tickvals": list(at),
        "ticktext": [f"{second // unit_s}:{second % unit_s * 60 // unit_s:02}" for second in at],
        "unifiedhovertitle": {"text": "%{x:,.0f} s"},
    }


def shown_text(text: str) -> str:
    """Text from outside for a chart: one line, no markup, not too long."""
    text = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
    return html.escape(safe(text))


def _lanes(marks: Mapping[str, Marks], step_s: float) -> Iterator[Figure]:
    for place, (kind, events) in enumerate(marks.items()):
        steps = sorted(events.counts)
        name = shown_text(kind.replace("_", " "))
        yield {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [_round((step + 0.5) * step_s) for step in steps],
            "y": [name] * len(steps),
            "yaxis": "y3",
            "customdata": [[events.counts[step], shown_text(events.texts[step])] for step in steps],
            "marker": {
                "color": _COLOURS.get(kind, "@warn"),
                "symbol": _SYMBOLS[place % len(_SYMBOLS)],
                "opacity": 1,
                "size": [min(16, 7 + 2 * math.log10(max(1, events.counts[step]))) for step in steps],
            },
            "hovertemplate": "%{customdata[0]:,} times: %{customdata[1]}",
            "showlegend": False,
        }


def _boundary(phase: Phase) -> Figure:
    at = {"x0": phase.started_s, "x1": phase.started_s, "yref": "paper", "y0": 0, "y1": 1}
    return {"type": "line", **at, "line": {"color": "@rule", "width": 1, "dash": "dot"}}


def _phase_name(phase: Phase, length_s: float) -> Figure | None:
    """The name over a phase that is long enough for it; ``name`` says whether also on a narrow screen."""
    share = ((phase.ended_s or length_s) - phase.started_s) / length_s
    if share < _SHARE_PER_LETTER * len(phase.name):
        return None
    return {
        "name": "narrow" if share > 3 * _SHARE_PER_LETTER * len(phase.name) else "wide",
        "x": phase.started_s,
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "xanchor": "left",
        "text": shown_text(phase.name),
        "showarrow": False,
        "font": {"size": 11, "color": "@muted"},
    }


def _line(
    name: str, points: Points, colour: str, *, dash: str = "solid", axis: str = "", shape: str = "linear"
) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [_round(at) for at, _ in points],
        "y": [_round(value) for _, value in points],
        "yaxis": f"y{axis}",
        "line": {"color": colour, "dash": dash, "width": 2, "shape": shape},
        "hovertemplate": "%{y:,.4~r}",
    }


def _pieces(name: str, pieces: Sequence[Points], colour: str, dash: str) -> Figure:
    """A line of connections with gaps; a piece of one point shows as a dot."""
    line = _line(name, [], colour, dash=dash, axis="2")
    for piece in pieces:
        before = [None] if line["x"] else []
        line["x"] += [*before, *(_round(at) for at, _ in piece)]
        line["y"] += [*before, *(_round(value) for _, value in piece)]
    return line | ({"mode": "lines+markers", "marker": {"size": 3}} if len(pieces) > 1 else {})


def _level(name: str, value: float, points: Points, axis: str = "") -> Figure:
    ends = [(points[0][0], value), (points[-1][0], value)] if points else []
    return _line(name, ends, "@muted", dash="dash", axis=axis) | {
        "line": {"color": "@muted", "dash": "dash", "width": 1}
    }


def _steps(
    name: str, values: Mapping[int, float], step_s: float, colour: str, dash: str, width: int = 2
) -> Figure:
    """A line over steps of time that is interrupted where nothing was measured."""
    steps = sorted(values)
    span = range(steps[0], steps[-1] + 1) if steps else ()
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(steps) < 60 else "lines",
        "name": name,
        "x": [_round((step + 0.5) * step_s) for step in span],
        "y": [_round(values[step]) if step in values else None for step in span],
        "line": {"color": colour, "dash": dash, "width": width},
        "marker": {"size": 4},
        "hovertemplate": "%{y:,.3~r} ms",
    }


def _bars(name: str, rates: Mapping[int, float], step_s: float, colour: str, pattern: str) -> Figure:
    steps = sorted(rates)
    return {
        "type": "bar",
        "name": name,
        "x": [_round((step + 0.5) * step_s) for step in steps],
        "y": [_round(rates[step]) for step in steps],
        "width": step_s,
        "yaxis": "y2",
        "marker": {"color": colour, "pattern": {"shape": pattern}, "line": {"width": 0}},
        "hovertemplate": "%{y:,.3~r}/s",
    }


def _axis(title: str, domain: list[float]) -> Figure:
    return {"title": {"text": title}, "domain": domain, "rangemode": "tozero"}


def _milliseconds(lines: Sequence[Figure]) -> Figure:
    """A logarithmic axis over all that is drawn on it, with a decade above and below at least."""
    values = [value for line in lines if line["type"] == "scatter" for value in line["y"] if value]
    low, high = min(values, default=1.0), max(values, default=10.0)
    lowest, highest = math.floor(math.log10(low)), math.ceil(math.log10(high) + 1e-9)
    return _decades(high, low) | {"range": [lowest, max(highest, lowest + 1)]}


def _decades(high: float, low: float) -> Figure:
    shown = [value for value in _DECADES_MS if low / 10 < value < high * 10]
    return {
        "type": "log",
        "tickvals": shown,
        "ticktext": [f"{value:,.0f}" if value >= 1 else f"{value:g}" for value in shown],
        "minor": {"ticks": ""},
    }


def _round(value: float) -> float:
    """Four digits are what a chart can show, and keep the file small."""
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value, 1)
