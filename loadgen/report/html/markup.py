"""HTML by small parts, in which text from outside is text."""

import html
from collections.abc import Iterable, Sequence

from loadgen.report.layout import safe


class Markup(str):
    """HTML that needs no escaping any more."""

    __slots__ = ()


class Cell(Markup):
    """A whole ``td``, with attributes of its own."""

    __slots__ = ()


def cell(content: object, class_: str, **attributes: str) -> Cell:
    """A cell of a table that is not as the others of its column."""
    return Cell(element("td", content, class_=class_, **attributes))


def escaped(content: object) -> Markup:
    """Anything as HTML: markup as it is, other text escaped, with control characters made visible."""
    if isinstance(content, Markup):
        return content
    return Markup("") if content is None else Markup(html.escape(safe(str(content))))


def element(tag: str, *contents: object, **attributes: str | None) -> Markup:
    """An element; ``class_`` is the attribute ``class``, underscores in others are dashes."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(safe(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{given}>{joined(contents)}</{tag}>")


def joined(contents: Iterable[object], between: str = "") -> Markup:
    """Several parts one after the other."""
    return Markup(between.join(escaped(content) for content in contents))


class Table:
    """A table with a caption, first columns of text, then of figures. It scrolls where it is too wide."""

    def __init__(self, caption: str, header: Sequence[object], texts: int = 1) -> None:
        self._caption = caption
        self._texts = texts
        self._groups: list[Markup] = []
        self._header = list(header)
        self._rows: list[Markup] = []

    def group(self, *groups: tuple[str, int]) -> None:
        """A line above the header: titles, and how many columns each is for."""
        cells = (
            element("th", title, colspan=str(columns), scope="colgroup" if title else None)
            for title, columns in groups
        )
        self._groups.append(element("tr", *cells, class_="groups"))

    def row(self, *cells: object, class_: str | None = None) -> None:
        """A line; cells may be whole ``td`` elements."""
        self._rows.append(
            element("tr", *(self._cell(place, each) for place, each in enumerate(cells)), class_=class_)
        )

    def render(self) -> Markup:
        """The whole table, in a box that scrolls."""
        header = element(
            "tr",
            *(
                element("th", title, scope="col", class_=self._class_of(place))
                for place, title in enumerate(self._header)
            ),
        )
        whole = element(
            "table",
            element("caption", self._caption),
            element("thead", *self._groups, header),
            element("tbody", *self._rows),
        )
        return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=self._caption)

    def _cell(self, place: int, content: object) -> Markup:
        if isinstance(content, Cell):
            return content
        if place == 0:
            return element("th", content, scope="row")
        return element("td", content, class_=self._class_of(place))

    def _class_of(self, place: int) -> str | None:
        return None if place < self._texts else "figure"
