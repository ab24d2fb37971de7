"""What a text is found by and what a query asks for: exactly the texts that hold it, whatever is in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.content.search import MAX_TERMS, WORD_CHARS, Term, document_tokens, folded, query_tokens, tsvector_text

# Few signs, so that stretches repeat and nearly match; with words, numbers, separators and full-width forms.
TEXTS = st.text(alphabet="高血压糖尿，。 \n1２.aＢc-😀", max_size=40)


def holds(text: str, query: str) -> bool:
    """As the database decides it: all tokens, then the folded text for terms that these do not decide."""
    tokens, terms = document_tokens(text), query_tokens(query)
    return bool(terms) and all(
        tokens.issuperset(term.tokens) and (term.exact or term.folded in folded(text)) for term in terms
    )


@given(TEXTS, TEXTS)
def test_a_text_is_found_exactly_when_it_holds_every_term(text: str, query: str) -> None:
    """What the index and the check decide is what looking into the folded text itself would."""
    terms = query_tokens(query)

    assert holds(text, query) == (bool(terms) and all(term.folded in folded(text) for term in terms[:MAX_TERMS]))


@given(TEXTS)
def test_every_text_is_found_by_itself(text: str) -> None:
    """Unless there is nothing in it to look for."""
    assert holds(text, text) == bool(document_tokens(text))


@given(st.text(alphabet="高血压糖尿病", min_size=1, max_size=30), st.data())
def test_every_stretch_of_chinese_is_found(text: str, data: st.DataObject) -> None:
    """Substrings of one, two and more characters."""
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))

    assert holds(f"前言，{text}。", text[start:end])


@given(st.text(max_size=60))
def test_tokens_need_no_quoting(text: str) -> None:
    """Whatever people write, a token has no sign that means something to PostgreSQL."""
    for token in document_tokens(text):
        assert token
        assert not set(token) & set("'\\:&|!()*<> \t\n\x00")


@pytest.mark.parametrize(
    ("text", "query", "found"),
    [
        ("早期肺癌", "癌", True),
        ("患有高血脂，要降血压", "高血压", False),
        ("高血压", "高血脂", False),
        ("2 型糖尿病", "2型糖尿病", True),
        ("12型糖尿病，2人", "2型糖尿病", False),
        ("ＨｂＡ１ｃ", "hba1c", True),
        ("HbA1c", "hba", False),
        ("体温 38.5℃", "38.5", True),
        ("体温 38.5℃", "8.5", False),
        ("高，血压", "高血压", False),
        ("𠮷野家", "𠮷", True),
        ("高血压", "，。😀", False),
        ("高血压", "", False),
        ("ﬁbrosis", "fibrosis", True),
        ("STRASSE İ", "strasse i", True),
    ],
)
def test_texts_are_found_as_people_mean_it(text: str, query: str, found: bool) -> None:
    """Chinese by any stretch, everything else by whole words, full-width and case alike."""
    assert holds(text, query) is found


def test_one_and_two_characters_and_a_word_are_decided_by_the_index() -> None:
    """No text must be unpacked for them; for a longer stretch it must."""
    exact = [term.exact for query in ("癌", "血压", "hba1c", "38.5") for term in query_tokens(query)]
    others = [term.exact for query in ("高血压", "2型", "a" * WORD_CHARS) for term in query_tokens(query)]

    assert exact == [True] * 4
    assert others == [False] * 3


def test_a_query_is_its_terms_once_and_not_without_end() -> None:
    """Repeated words are one; more than enough are left out."""
    assert query_tokens("血压 血压") == (Term(("血压",), "血压", True),)
    assert len(query_tokens(" ".join(f"w{number}" for number in range(50)))) == MAX_TERMS


def test_a_term_and_a_text_are_written_as_postgresql_reads_them() -> None:
    """Quoted, joined by and; sorted and apart."""
    assert query_tokens("2型糖尿病")[0].lexemes == "'2' & '型糖' & '糖尿' & '尿病'"
    assert tsvector_text({"血压", "a", "血"}) == "a 血 血压"
