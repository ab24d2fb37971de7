"""`docs/protocol.md` says what the code says."""

from pathlib import Path

from hub.platform.error import RULES
from hub.platform.text import text

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"


def test_error_table_is_the_one_of_the_code() -> None:
    """Programs are written against this table; print the right one when it differs."""
    rows = [
        f"| `{code.value}` | {text(code.value, 'en')} | {rule.http} | {rule.close or ''} | {'yes' if rule.retry else 'no'} |"
        for code, rule in RULES.items()
    ]
    expected = "\n".join(["| code | meaning | HTTP | close | retry |", "|---|---|---|---|---|", *rows])
    page = PAGE.read_text("utf-8")
    told = page.partition("<!-- errors:")[2].partition("-->\n")[2].partition("\n<!-- end -->")[0]

    assert told == expected, expected
