"""What is kept of a provider's own words, and that nothing else of them gets as far as the ledger."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.port import Outcome, Verdict
from channels.sms_receipt import Receipt, decode_receipts
from channels.wechat_event import Sent
from channels.word import MOST_CODE, MOST_ID, NOT_A_CODE, code_of, id_of
from hub.notices.model import Attempt, AttemptState
from hub.notices.outcome import Call, told_of
from hub.notices.receipt import word_of_sms, word_of_wechat

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FREE_TEXT = [
    "mobile 13800138000 name 张三 肿瘤科",
    "zhang san, oncology",
    "13800138000",
    "to:+8613800138000",
    "sent=13800138000x",
    "11010519491231002X",
    "bad\x00code",
    "bad\ncode",
    "\ud800",
    "a" * (MOST_CODE + 1),
]
IDS = [
    "",
    "123^aliyun",
    "900619746936498440^0",
    "2028:f825efab5ae0c71ad9c4fb2f0b2c3f0a",
    "5000:1045710669157053657849499619",
    "8:SdYPRlDuqbhsbWtoDbi20171117",
    "2258340310291726336",
    "0e2fb6f9-3d5a-7d4e-8b51-13800138000a",
    "https://updates.push.services.mozilla.com/m/gAAAAABl-_x%3D==",
    "0:1700000000123456%7031b2e6f9fd7ecd",
    "msgid-Kx9_b|response_code-Zt4=",
]


@pytest.mark.parametrize(
    "code",
    [
        "",
        "0",
        "-1",
        "43101",
        "301002",
        "isv.BUSINESS_LIMIT_CONTROL",
        "MK:0001",
        "403/BadJwtToken",
        "550/5.1.1",
        "http_503",
    ],
)
def test_a_code_is_kept_as_it_was_said(code: str) -> None:
    assert code_of(code) == code


@pytest.mark.parametrize("said", FREE_TEXT)
def test_free_text_is_no_code(said: str) -> None:
    """It may hold a number, a name or a department, or what PostgreSQL does not take."""
    assert code_of(said) == NOT_A_CODE


@pytest.mark.parametrize("said", IDS)
def test_an_id_is_kept_to_the_letter(said: str) -> None:
    """A receipt is found by it."""
    assert id_of(said) == said


@pytest.mark.parametrize("said", [*FREE_TEXT[:4], *FREE_TEXT[6:9], "id-13800138000", "a" * (MOST_ID + 1)])
def test_what_cannot_be_an_id_is_none(said: str) -> None:
    assert id_of(said) == ""


@given(said=st.text(max_size=300))
def test_what_is_kept_is_plain_and_stays_as_it_is(said: str) -> None:
    """Whatever a provider says; and a code that is written down again is the same."""
    for kept, most in ((code_of(said), MOST_CODE), (id_of(said), MOST_ID)):
        assert len(kept) <= most
        assert kept.isascii()
        assert kept == "" or (kept.isprintable() and " " not in kept)
    assert code_of(code_of(said)) == code_of(said)


# The three ways into the ledger


@pytest.mark.parametrize("said", FREE_TEXT)
def test_an_answer_brings_no_free_text_into_the_ledger(said: str) -> None:
    attempt = Attempt(
        id="a", step=0, channel="sms", provider="tencent", address="1", number=1, state=AttemptState.LEASED, sent_at=NOW
    )
    call = Call(attempt=attempt, repeats=False, receipt_s=0, address_row=False)
    bad = told_of(call, Outcome(verdict=Verdict.DEAD, code=said, provider_id="12\x003"), NOW)
    good = told_of(call, Outcome(verdict=Verdict.DEAD, code="LimitExceeded", provider_id="msgid|code"), NOW)

    assert (bad.code, bad.provider_id) == (NOT_A_CODE, "")
    assert (good.code, good.provider_id) == ("LimitExceeded", "msgid|code")


def test_a_receipt_of_a_text_message_brings_no_free_text_into_the_ledger() -> None:
    """Tencent's `errmsg` and Aliyun's `err_code` are whatever a carrier says."""
    body = '[{"sid":"8:Sd","report_status":"FAIL","errmsg":"mobile 13800138000 name 张三 肿瘤科"}]'.encode()
    [tencent] = [word_of_sms(each) for each in decode_receipts("tencent", body)]
    aliyun = word_of_sms(Receipt(provider="aliyun", provider_id="900^0", attempt=None, delivered=False, code="MK:张三"))

    assert (tencent.code, tencent.detail, tencent.provider_id) == (NOT_A_CODE, "", "8:Sd")
    assert (aliyun.code, aliyun.provider_id) == (NOT_A_CODE, "900^0")


@pytest.mark.parametrize(
    ("code", "state"), [(43101, AttemptState.REFUSED), (2, AttemptState.DEAD), (0, AttemptState.DEAD)]
)
def test_a_receipt_of_wechat_is_told_in_our_own_words(code: int, state: AttemptState) -> None:
    word = word_of_wechat(Sent("openid", "T1", "1700827132819554304", code, "failed:张三 13800138000"))

    assert (word.state, word.code, word.provider_id) == (state, str(code), "1700827132819554304")
    assert word.detail.isascii()
    assert word.detail
    assert "138" not in word.detail
