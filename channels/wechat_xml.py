"""The XML of WeChat and WeCom, read into plain mappings. No DTD, no entities, no more than they ever send.

expat itself, because `xml.etree` does not let a document type be refused; defusedxml does the same.
"""

from xml.parsers import expat

MOST_BYTES = 65536
MOST_DEPTH = 8
MOST_ELEMENTS = 500
MOST_TIME = 12

Element = dict[str, "Element | str | list[Element | str]"]
Value = Element | str | list[Element | str]


class Unreadable(Exception):
    """Not what WeChat sends; the text never quotes it."""


class _Reader:
    """Builds the mapping from expat's events."""

    def __init__(self) -> None:
        self.root: Element = {}
        self._open: list[tuple[str, Element]] = []
        self._text: list[str] = []
        self._elements = 0

    def on_start(self, name: str, _: dict[str, str]) -> None:
        self._elements += 1
        if len(self._open) >= MOST_DEPTH or self._elements > MOST_ELEMENTS:
            raise Unreadable("too large")
        self._open.append((name, {}))
        self._text.clear()

    def on_text(self, text: str) -> None:
        self._text.append(text)

    def on_end(self, _: str) -> None:
        name, children = self._open.pop()
        value: Element | str = children or "".join(self._text).strip()
        self._text.clear()
        if self._open:
            _add(self._open[-1][1], name, value)
        elif isinstance(value, dict):
            self.root = value


def _add(parent: Element, name: str, value: Element | str) -> None:
    """A name that comes again makes a list."""
    known = parent.get(name)
    if known is None:
        parent[name] = value
    elif isinstance(known, list):
        known.append(value)
    else:
        parent[name] = [known, value]


def _refuse(*_: object) -> None:
    raise Unreadable("document type")


def read_xml(body: bytes) -> Element:
    """What is inside of the root element. Raises `Unreadable`."""
    if len(body) > MOST_BYTES:
        raise Unreadable("too large")
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.on_start
    parser.EndElementHandler = reader.on_end
    parser.CharacterDataHandler = reader.on_text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError):  # LookupError: an encoding nobody knows
        raise Unreadable("malformed") from None
    return reader.root


def text_of(element: Element, *names: str) -> str:
    """The text under the first of these names that is there; empty where none is."""
    return next((value for name in names if isinstance(value := element.get(name), str) and value), "")


def time_of(said: str) -> int:
    """Seconds since 1970; 0 where none is said. Raises `Unreadable` for one of more than 12 digits: Python refuses thousands."""
    if not (said.isascii() and said.isdigit()):
        return 0
    if len(said) > MOST_TIME:
        raise Unreadable("time")
    return int(said)
