"""A page that holds its style, its charts and their library, and asks no network for anything.

The page's own policy (Content-Security-Policy) lets a browser run the two scripts whose digests it names and
load nothing at all, so text from outside stays text even if it were not escaped.
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from loadgen.errors import LoadgenError
from loadgen.report.html.markup import Markup, element

HOW_TO_GET: Final = "pip install 'outlook-loadgen[report]'"


class NoCharts(LoadgenError):
    """The charts' library, which an extra brings, is not installed."""


@cache
def plotly_script() -> str:
    """The source of plotly.js; raises :class:`NoCharts`."""
    try:
        from plotly.offline import get_plotlyjs  # noqa: PLC0415 - an extra, and not needed by a run
    except ImportError:
        raise NoCharts(f"report.html was left out: plotly is missing; {HOW_TO_GET}") from None
    return str(get_plotlyjs())


class Page:
    """A page under way: a header, sections, and the figures of their charts."""

    def __init__(self, title: str) -> None:
        self.header = Markup()
        self._title = title
        self._sections: list[Markup] = []
        self._links: list[Markup] = []
        self._figures: dict[str, Mapping[str, dict[str, Any]]] = {}

    def section(self, anchor: str, title: str, *parts: Markup) -> None:
        """Adds a section, and a link to it at the top."""
        self._links.append(element("a", title, href=f"#{anchor}"))
        heading = element("h2", title, id=f"{anchor}-title")
        self._sections.append(
            element("section", heading, *parts, id=anchor, aria_labelledby=f"{anchor}-title")
        )

    def chart(self, name: str, title: str, how_to_read: str, figures: Mapping[str, dict[str, Any]]) -> Markup:
        """A chart with its title above and a sentence below; of several figures, a choice shows one."""
        self._figures[name] = figures
        height = next(iter(figures.values()))["layout"]["height"]
        return element(
            "figure",
            element("h4", title, id=f"{name}-title"),
            element(
                "div",
                class_="chart",
                id=name,
                role="img",
                aria_label=f"{title}. {how_to_read}",
                style=f"min-height:{height}px",
            ),
            element("figcaption", how_to_read),
        )

    def render(self) -> str:
        """The whole file."""
        own, library = _own("charts.js"), plotly_script()
        policy = (
            f"default-src 'none'; script-src {_digest(library)} {_digest(own)}; "
            "style-src 'unsafe-inline'; img-src data:"
        )
        figures = msgspec.json.encode(self._figures).decode().replace("<", "\\u003c")
        head = (
            Markup('<meta charset="utf-8">'),
            Markup('<meta http-equiv="Content-Security-Policy" content="') + policy + '">',
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup('<meta name="color-scheme" content="light dark">'),
            element("title", self._title),
            element("style", Markup(_own("style.css"))),
        )
        body = (
            element("header", self.header),
            element("nav", *self._links, aria_label="Sections"),
            element("noscript", element("p", "Charts need JavaScript; tables do not.")),
            element("main", *self._sections),
            element("footer", "Made by outlook-loadgen. What each figure means: docs/results.md."),
            element("script", Markup(figures), type="application/json", id="figures"),
            element("script", Markup(library)),
            element("script", Markup(own)),
        )
        document = element("html", element("head", *map(Markup, head)), element("body", *body), lang="en")
        return f"<!DOCTYPE html>\n{document}\n"


def _own(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
