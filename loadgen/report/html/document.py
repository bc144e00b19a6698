"""``report.html`` of a results folder, section by section."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from loadgen.measure.store import ResultsError
from loadgen.report.html import figures, latency_series, run_series, tables
from loadgen.report.html.latency_series import LatencySeries, Times
from loadgen.report.html.markup import Markup, element, joined
from loadgen.report.html.page import Page
from loadgen.report.html.run_series import RunSeries
from loadgen.report.html.verdict import REASONS_IN_A_SENTENCE, SIGNS, headline_figures, sentence
from loadgen.report.layout import DIFFERS, NO_FIGURE
from loadgen.report.recorded import Recorded
from loadgen.report.summary import IDLE_AT_LEAST_S
from loadgen.report.text import loadgens_view

FILE_NAME: Final = "report.html"
_MOST_WANTED: Final = "send_message"


def write(recorded: Recorded) -> Path:
    """Writes the report into the folder of a run, from the files there; returns its path.

    Raises :class:`~loadgen.measure.store.ResultsError`, and :class:`~loadgen.report.html.page.NoCharts`.
    """
    folder, length_s = recorded.folder, _length_s(recorded)
    latency = latency_series.read(folder / "latency.hlog", length_s)
    series = run_series.read(folder, latency.step_s)
    text = Report(recorded, latency, series, length_s).render()
    path = folder / FILE_NAME
    draft = path.with_suffix(".draft")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)  # it would take up what room there is
        raise ResultsError(f"{path}: {error.strerror}") from None
    return path


def _length_s(recorded: Recorded) -> float:
    """Until the end of the last phase, or of the last interval of a run that was killed."""
    phases = recorded.run.phases
    ends = [phase.ended_s or phase.started_s for phase in phases]
    return max([1.0, *ends, run_series.last_moment_s(recorded.folder)])


class Report:
    """One report under way: the values that were read, and the charts that the page will draw."""

    def __init__(
        self, recorded: Recorded, latency: LatencySeries, series: RunSeries, length_s: float
    ) -> None:
        self._recorded = recorded
        self._summary = recorded.summary
        self._latency = latency
        self._series = series
        self._length_s = length_s
        self._page = Page(f"{self._summary.verdict} {self._summary.campaign}")

    def render(self) -> str:
        """The whole file."""
        self._page.header = self._header()
        for anchor, title, parts in (
            ("connections", "Connections", self._connections()),
            ("course", "Course of the run", self._course()),
            ("latency", "Latency", self._latencies()),
            ("operations", "Operations", self._operations()),
            ("failures", "Failures", self._failures()),
            ("limits", "Limits, thresholds", self._limits()),
            ("set-up", "Set-up", self._set_up()),
            ("traffic", "Traffic", self._traffic()),
            ("generator", "Generator", self._generator()),
            ("environment", "Environment", self._environment()),
        ):
            self._page.section(anchor, title, *parts)
        return self._page.render()

    def _header(self) -> Markup:
        summary, run = self._summary, self._recorded.run
        verdict = summary.verdict
        badge = element(
            "span",
            element("span", SIGNS[verdict], class_="sign", aria_hidden="true"),
            verdict,
            class_=f"verdict {verdict.lower()}",
        )
        facts = (
            element("div", element("dt", name), element("dd", value, element("small", remark)))
            for name, (value, remark) in headline_figures(summary).items()
        )
        notes = (element("li", element("strong", "Note "), warning) for warning in summary.warnings)
        about = " · ".join((summary.campaign, run.target, run.started[:19].replace("T", " ") + " UTC"))
        return joined(
            (
                element("p", about, class_="about"),
                element("h1", self._recorded.campaign.title or summary.campaign),
                element("p", badge, " ", sentence(self._recorded), class_="sentence"),
                element("dl", *facts, class_="facts"),
                element("ul", *notes, class_="warnings") if summary.warnings else None,
            )
        )

    def _connections(self) -> Iterator[Markup]:
        connections = self._summary.connections
        if not (connections.peak or connections.steady):
            yield note("Not counted: the run did not get as far as a barrier.")
            return
        yield tables.connections(self._summary)
        yield note(
            f"{DIFFERS} marks a count that is not as expected; {NO_FIGURE} what a party cannot see. "
            "LoadGen opens one mail connection per user, which is two TCP connections at the CAS (one where "
            "clients go straight to servers), and nothing else."
        )
        yield note(loadgens_view(connections, self._summary.users))

    def _course(self) -> Iterator[Markup]:
        if not self._series.gauges["users_logged_on"]:
            yield note("Nothing was recorded.")
            return
        phases, planned = self._recorded.run.phases, self._summary.users.planned
        figure = figures.course_of_run(self._series, phases, planned, self._latency.step_s, self._length_s)
        yield self._page.chart(
            "course-of-run",
            "Users, TCP connections of clients, and events",
            "Expected are the connections of users who are logged on: counts lie on that line while users "
            "stay, and above it while some are still logging on (in the ramp, or coming back). What else "
            "pulls them off stands below as an event at the same time. A line is interrupted where nobody "
            "counted for long. Dotted lines begin a phase.",
            {"": figure},
        )
        if self._summary.outages:
            yield tables.outages(self._summary.outages)
            yield note(
                "From the first loss of a connection until as many users are admitted again as before; what "
                "is lost meanwhile belongs to the same outage, and refused are attempts to log on."
            )

    def _latencies(self) -> Iterator[Markup]:
        timed = {
            name: response
            for name in self._summary.operations
            if (response := self._latency.times.get(f"{name}.response")) and response.total.count
        }
        if not timed:
            yield note("Nothing was timed: no operation that was due in the measured phase succeeded.")
            return
        yield tables.latency(self._summary.operations)
        yield element("h3", "By percentile")
        yield note(
            "Each step to the right is ten times as rare. Solid: response, from when it was due; dashed: "
            "service, from when it began. A gap between them is time that operations waited for their turn."
        )
        yield element(
            "div", *(self._percentiles(name, timed[name]) for name in timed), class_="small-multiples"
        )
        yield element("h3", "Over time")
        yield choice(timed)
        yield self._page.chart(
            "course-of-latency",
            "Response beside service time, and operations per second",
            "A stall of the target lifts response above service until what has piled up is done.",
            {
                name: figures.course_of_latency(name, self._latency, self._series, self._length_s)
                for name in timed
            },
        )
        yield self._page.chart(
            "heat-map",
            "Response times as they fell",
            "The stronger the colour, the more operations took that long at that time; a second band is a "
            "second kind of answer.",
            {
                name: figures.heat_map(response, self._latency.step_s, self._length_s)
                for name, response in timed.items()
            },
        )

    def _percentiles(self, name: str, response: Times) -> Markup:
        figure = figures.percentiles(response, self._latency.times.get(f"{name}.service"))
        return self._page.chart(f"percentiles-{name}", name, f"{response.total.count:,} timed", {"": figure})

    def _operations(self) -> Iterator[Markup]:
        yield tables.operations(self._summary.operations)
        yield note(
            "Counted in all phases; timed, above, is only what was due in the measured phase (log_on and "
            "log_off: in any). Skipped: found too much unfinished work, or no user logged on, and was not "
            "begun."
        )

    def _failures(self) -> Iterator[Markup]:
        if not self._summary.failure_examples:
            yield note("No operation failed.")
            return
        yield tables.failures(self._summary, self._series.failures)
        yield note("Times since the start of the run; the example is the first of its kind.")

    def _limits(self) -> Iterator[Markup]:
        summary = self._summary
        if summary.limits:
            yield tables.limits(summary.limits)
        else:
            yield note("No limit of a server was hit.")
        if summary.thresholds:
            yield tables.thresholds(summary.thresholds)
        elif not (self._recorded.campaign.threshold or summary.limit_results):
            yield note(
                "No thresholds of its own: the run passes if no operation failed or was skipped, no user was "
                "refused, no connection was lost, and all counts of connections are as expected."
            )
        if summary.limit_results:
            yield element("h3", f"Limit set {summary.limit_set}")
            yield tables.limit_set(summary.limit_results)
            yield note(f"{NO_FIGURE} where nobody measured it. Times are of the worst stretch.")
        if len(summary.reasons) > REASONS_IN_A_SENTENCE:
            yield element("h3", "Why it is not PASS")
            yield element("ul", *(element("li", reason) for reason in summary.reasons))

    def _set_up(self) -> Iterator[Markup]:
        if not any(each.p50 is not None for each in self._summary.set_up.values()):
            yield note("No connection was opened.")
            return
        yield tables.layers(self._summary.set_up)
        yield self._page.chart(
            "set-up-layers",
            "Layers of set-up",
            "From median to maximum of each layer, on a logarithmic scale; a long bar is a layer that "
            "sometimes had to wait.",
            {"": figures.layers(self._summary.set_up)},
        )

    def _traffic(self) -> Iterator[Markup]:
        if not self._summary.measured_s:
            yield note("Nothing was measured.")
            return
        yield tables.traffic(self._summary.traffic)
        yield note(
            "Payload of the clients' TCP segments, both ways. The white paper's figures are of Outlook 2007: "
            "over HTTP in cached mode, inside the firewall in both modes. Beside other types they show the "
            f"order of magnitude. idle/hour is per real hour, from a hold of at least {IDLE_AT_LEAST_S:g} s."
        )

    def _generator(self) -> Iterator[Markup]:
        campaign = self._recorded.campaign
        yield tables.health(self._summary.generator, campaign)
        if not self._series.gauges["busy"]:
            return
        yield self._page.chart(
            "generator-health",
            "Lag and busiest worker",
            "While both stay below their dashed bounds, times are the target's and not the generator's.",
            {
                "": figures.generator(
                    self._series, campaign.invalid_lag * 1000, campaign.invalid_busy, self._length_s
                )
            },
        )

    def _environment(self) -> Iterator[Markup]:
        run = self._recorded.run
        yield element("p", "To repeat this run:")
        command = run.command or "not recorded: the run was made by an older version"
        yield element("pre", element("code", command), tabindex="0")
        lines: dict[str, object] = {
            "campaign": run.campaign.get("name", ""),
            "target": run.target,
            "seed": run.seed,
            "started": run.started,
            "ended": run.ended or "did not end in good order",
            "exit code": run.exit_code if run.exit_code is not None else NO_FIGURE,
        }
        yield tables.pairs("The run", lines)
        yield tables.pairs("Machine and versions", run.machine | run.versions)
        phases = {
            f"{place}. {phase.name}": f"{tables.moment(phase.started_s)} to {tables.moment(phase.ended_s)}"
            for place, phase in enumerate(run.phases, 1)
        }
        yield tables.pairs("Phases", phases)
        table = msgspec.json.format(msgspec.json.encode(run.campaign), indent=2).decode()
        campaign = element("pre", element("code", lines_of(table)), tabindex="0")
        yield element("details", element("summary", "The campaign as run"), campaign)


def note(text: str) -> Markup:
    """A sentence about what stands above it."""
    return element("p", text, class_="note")


def choice(names: Iterable[str]) -> Markup:
    """Chooses the operation that the two charts below show."""
    names = tuple(names)
    first = _MOST_WANTED if _MOST_WANTED in names else names[0]
    options = (
        element("option", name, value=name, selected="selected" if name == first else None) for name in names
    )
    chosen = element("select", *options, id="operation", data_charts="course-of-latency heat-map")
    return element("p", element("label", "Operation ", chosen), class_="choice")


def lines_of(text: str) -> Markup:
    """Text of several lines, of which each is shown as text."""
    return joined(text.splitlines(), "\n")
