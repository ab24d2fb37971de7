"""Articles' rules: the row an article becomes, and what cannot be found."""

import pytest

from hub.content.model import MOVES, article_row, moved, searched
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id


def test_a_row_holds_what_it_is_found_by() -> None:
    """Title, summary, tags and content, each folded; tokens of all of them."""
    row = article_row(title="高血压", content="少盐", category="慢病", summary="饮食", tags=["DASH"])

    assert is_id(row["id"])
    assert row["search"].split() == sorted(
        ["高", "血", "压", "高血", "血压", "少", "盐", "少盐", "饮", "食", "饮食", "dash"]
    )
    assert (row["folded_title"], row["folded_summary"], row["folded_content"]) == ("高血压", "饮食 dash ", "少盐")
    assert (row["status"], row["tags"], row["published_at"]) == ("draft", ["DASH"], None)


def test_more_than_an_index_entry_holds_is_refused() -> None:
    """Naming the content, before PostgreSQL would fail."""
    with pytest.raises(Refusal) as refused:
        searched("题", "", [], " ".join(f"{number:060d}" for number in range(20_000)))

    assert (refused.value.code, list(refused.value.fields)) == (ErrorCode.INVALID, ["content"])


def test_every_state_has_moves_and_no_move_leads_nowhere() -> None:
    """The table is complete; what it lacks names the state."""
    assert {target for _, target in MOVES.values()} == {"draft", "published", "archived"}
    with pytest.raises(Refusal) as refused:
        moved("draft", "unpublish")
    assert (refused.value.code, refused.value.text) == (ErrorCode.CONFLICT, "article_is_draft")
