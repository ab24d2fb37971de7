"""Snippets: the words as they stand in the article, cut at characters, marked as data."""

from hypothesis import given
from hypothesis import strategies as st

from hub.content.search import document_tokens, folded, query_tokens
from hub.content.snippet import SNIPPET_CHARS, Part, snippet


def test_the_hits_are_marked_in_the_words_of_the_article() -> None:
    """Full-width and upper case stay as they were written."""
    parts = snippet("请查ＨＢＡ１Ｃ，2 型糖尿病者尤其", query_tokens("hba1c 2型糖尿病"))

    assert parts == [
        Part("请查", False),
        Part("ＨＢＡ１Ｃ", True),
        Part("，", False),
        Part("2 型糖尿病", True),
        Part("者尤其", False),
    ]


def test_a_snippet_begins_shortly_before_the_first_hit() -> None:
    """Not at the beginning of a long article."""
    parts = snippet("前" * 500 + "失眠" + "后" * 500, query_tokens("失眠"))

    assert [part.text for part in parts if part.hit] == ["失眠"]
    assert len(parts[0].text) < 50
    assert sum(len(part.text) for part in parts) == SNIPPET_CHARS


def test_the_beginning_is_shown_when_the_hit_is_elsewhere() -> None:
    """In the title, for example; and nothing when nothing was asked for."""
    assert snippet("正文" * 100, query_tokens("标题")) == [Part(("正文" * 100)[:SNIPPET_CHARS], False)]
    assert snippet("正文", ()) == []


def test_a_part_of_a_word_is_no_hit() -> None:
    """As in the search itself."""
    assert snippet("HbA1c", query_tokens("hba")) == [Part("HbA1c", False)]
    assert snippet("a" * 5, query_tokens("aa")) == [Part("aaaaa", False)]


def test_a_hit_at_the_edge_is_shown_whole() -> None:
    """A word is not cut in the middle of its mark."""
    text = "失眠" + "中" * (SNIPPET_CHARS - 3) + "失眠"

    assert [part.text for part in snippet(text, query_tokens("失眠")) if part.hit] == ["失眠", "失眠"]


@given(st.text(max_size=300), st.text(max_size=10))
def test_the_parts_are_a_stretch_of_the_text_whatever_it_is(text: str, query: str) -> None:
    """Nothing is added, nothing changed, no part is empty."""
    parts = snippet(text, query_tokens(query))

    assert "".join(part.text for part in parts) in text
    assert all(part.text for part in parts)


@given(st.text(alphabet="高血压Ａb1，<>& ", min_size=1, max_size=100), st.data())
def test_what_was_found_is_marked(text: str, data: st.DataObject) -> None:
    """A stretch of the text itself is marked at least once, if there is anything in it to look for."""
    start = data.draw(st.integers(0, len(text) - 1))
    query = text[start : start + 5]
    terms = query_tokens(query)
    found = document_tokens(text).issuperset(token for term in terms for token in term.tokens)
    is_whole = all(term.folded in folded(text) for term in terms)  # 「1压1」 is not in 「11压1」: words are whole
    if terms and found and is_whole:
        assert any(part.hit for part in snippet(text, terms))
