"""What an article is found by, and what a query asks for: Han characters one by one and in pairs, everything else as words.

Chinese has no spaces to cut at, so a word of any length is found as a stretch of characters. One or two characters, and
one word, are answered by the index alone; a longer stretch is looked up by all its pairs, and then sought in the folded
text, so that what is found holds exactly what was asked for.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

WORD_CHARS = 64  # of a word that the index keeps; a longer one is told apart in the folded text
MAX_TERMS = 10

HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_RUN = re.compile(rf"(?P<han>[{HAN}]+)|[0-9]+(?:\.[0-9]+)+|[^\W_{HAN}]+")


class Term(NamedTuple):
    """One stretch of a query; an article holds it if it has all `tokens`, and `folded` unless the tokens say it already."""

    tokens: tuple[str, ...]
    folded: str
    exact: bool

    @property
    def lexemes(self) -> str:
        """As a tsquery. Tokens are letters, digits and points, so quoting is all they need."""
        return " & ".join(f"'{token}'" for token in self.tokens)


class _Run(NamedTuple):
    text: str
    is_han: bool
    start: int
    end: int


def document_tokens(text: str) -> set[str]:
    """Everything that a query could look this text up by."""
    found: set[str] = set()
    for run in _runs(_normal(text)):
        if run.is_han:
            found.update(run.text)
            found.update(_pairs(run.text))
        else:
            found.add(run.text[:WORD_CHARS])
    return found


def query_tokens(text: str) -> tuple[Term, ...]:
    """The terms of a query, all of which an article must hold; none if there is nothing in it to look for."""
    terms: list[Term] = []
    together: list[_Run] = []
    for run in _runs(_normal(text)):
        if together and run.start != together[-1].end:
            terms.append(_term(together))
            together = []
        together.append(run)
    if together:
        terms.append(_term(together))
    return tuple(dict.fromkeys(terms))[:MAX_TERMS]


def folded(text: str) -> str:
    """The text as terms are sought in it: a word stands between spaces, and `|` stands for what separates.

    Space beside a word is nothing: 「2 型」 and 「2型」 are the same.
    """
    parts: list[str] = []
    normal, before = _normal(text), None
    for run in _runs(normal):
        if before is not None and before.end != run.start:
            gap = normal[before.end : run.start]
            if not gap.isspace() or (before.is_han and run.is_han):
                parts.append("|")
        parts.append(_piece(run))
        before = run
    return "".join(parts)


def tsvector_text(tokens: set[str]) -> str:
    """The tokens as PostgreSQL reads a tsvector; sorted, so that equal texts give equal rows."""
    return " ".join(sorted(tokens))


def _term(runs: list[_Run]) -> Term:
    tokens: list[str] = []
    for run in runs:
        if not run.is_han:
            tokens.append(run.text[:WORD_CHARS])
        elif len(run.text) == 1:
            tokens.append(run.text)
        else:
            tokens += _pairs(run.text)
    alone = runs[0] if len(runs) == 1 else None
    exact = alone is not None and len(alone.text) < (3 if alone.is_han else WORD_CHARS)
    return Term(tuple(dict.fromkeys(tokens)), "".join(map(_piece, runs)), exact)


def _piece(run: _Run) -> str:
    return run.text if run.is_han else f" {run.text} "


def _pairs(run: str) -> Iterator[str]:
    return (run[at : at + 2] for at in range(len(run) - 1))


def _runs(normal: str) -> Iterator[_Run]:
    for match in _RUN.finditer(normal):
        yield _Run(match[0], match["han"] is not None, match.start(), match.end())


def _normal(text: str) -> str:
    """Full-width letters, ligatures and the like as what they stand for, in lower case (Unicode TR 15, form KC)."""
    # Lowering may leave a form that is not normal, so again.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
