"""A page of HTML, parsed: what it says, what it is made of, and where its links lead."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "wbr", "input", "img", "path", "polyline", "polygon"}


class ParsedPage(HTMLParser):
    """What a page holds.

    Attributes:
        elements: (tag, names of its attributes) of every element.
        attributes: (tag, name, value) of every attribute.
        headings: (level, text), in order.
        texts: id of a section -> what is read there; "" for all.
        tables: caption -> rows of cells.
        unclosed: elements that did not end, or ended where they did not begin.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.source = page
        self.elements: set[tuple[str, ...]] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.headings: list[tuple[int, str]] = []
        self.texts: dict[str, str] = {"": ""}
        self.tables: dict[str, list[list[str]]] = {}
        self.unclosed: list[str] = []
        self._open: list[str] = []
        self._section = ""
        self._table: list[list[str]] = []
        self._caption = ""
        self.feed(page)
        self.close()
        self.unclosed += self._open
        self.texts = {name: " ".join(text.split()) for name, text in self.texts.items()}

    @property
    def text(self) -> str:
        """All that is read."""
        return self.texts[""]

    @property
    def ids(self) -> list[str]:
        return [value for _, name, value in self.attributes if name == "id"]

    @property
    def links(self) -> list[str]:
        return [value for _, name, value in self.attributes if name == "href"]

    @property
    def pictures(self) -> list[str]:
        """The data: URIs that the style sheet and images hold."""
        return re.findall(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/=]+", self.source)

    def table(self, caption: str) -> list[list[str]]:
        """Return the rows of the one table whose caption holds this."""
        (found,) = (rows for text, rows in self.tables.items() if caption in text)
        return [[" ".join(cell.split()) for cell in row] for row in found]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add((tag, *sorted(name for name, _ in attrs)))
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)
        if tag == "section":
            self._section = dict(attrs).get("id") or ""
            self.texts[self._section] = ""
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))
        if tag == "table":
            self._table, self._caption = [], ""
        if tag == "tr":
            self._table.append([])
        if tag in ("td", "th") and self._table:
            self._table[-1].append("")
        self._add(" " if tag in ("td", "th", "p", "li", "dt", "dd", "br", "summary", "code") else "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.unclosed.append(tag)
        if tag == "table":
            self.tables[" ".join(self._caption.split())] = self._table
            self._table = []
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        if self._open[-1:] not in (["style"], ["script"], ["title"], ["desc"]):
            self._add(data)

    def _add(self, text: str) -> None:
        for name in {"", self._section}:
            self.texts[name] += text
        if "caption" in self._open:
            self._caption += text
        elif self._table and self._table[-1]:
            self._table[-1][-1] += text
        if self.headings and self._open and re.fullmatch("h[1-6]", self._open[-1]):
            self.headings[-1] = (self.headings[-1][0], self.headings[-1][1] + text)
