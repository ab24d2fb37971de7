"""Fields of subscribe messages: what fits is as long as allowed and says when it was shortened; what cannot fit is refused early."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.wechat_field import KINDS, Unfit, check_field, fit
from hub.platform.text import TEXTS
from tests.standins.weixin import FIELDS, _wrong


def unfit(name: str, value: str) -> str:
    with pytest.raises(Unfit) as caught:
        fit(name, value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("thing1", "您有一项预约提醒"),
        ("thing12", "二十个字正好放得下的一条提醒内容一二三四"),
        ("character_string3", "DD20261125-0001"),
        ("number4", "3.5"),
        ("letter5", "AB"),
        ("symbol6", "%"),
        ("time7", "15:01"),
        ("time7", "2019年10月1日 15:01"),
        ("time7", "2026年11月23日 09:30~10:00"),
        ("date8", "2019年10月1日"),
        ("date8", "2026-11-25"),
        ("date8", "2026年11月25日 09:30"),
        ("amount9", "￥100.00"),
        ("amount9", "100元"),
        ("phone_number10", "+86-0766-66888866"),
        ("car_number11", "粤A8Z888"),
        ("car_number11", "粤A8Z88挂"),
        ("name12", "李小明"),
        ("name12", "Anna Smith"),
        ("phrase13", "待就诊"),
        ("enum14", "挂号"),
        ("const15", "预约挂号"),
    ],
)
def test_a_good_value_stays_as_it_is(name: str, value: str) -> None:
    """Of every type, and the stand-in takes it."""
    assert fit(name, value) == value
    assert check_field(name, value) is None
    assert name.startswith("time") or not _wrong(name, {"value": value.replace("+86-0766-", "")})


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("thing1", "您有一项预约将在明天上午九点三十分开始请提前到达", "您有一项预约将在明天上午九点三十分开始…"),
        ("thing1", "第一行\n第二行\t完\x00", "第一行 第二行 完"),
        ("thing1", "  前后有空格 ", "前后有空格"),
        ("thing1", "好" * 18 + "😀😀", "好" * 18 + "…"),
        ("thing1", "", "-"),
        ("thing1", " \n", "-"),
        ("character_string2", "A" * 40, "A" * 29 + "..."),
        ("character_string2", "", "-"),
        ("symbol3", "", "-"),
        ("name4", "阿卜杜热合曼·买买提明江", "阿卜杜热合曼·买买提"),
        ("name4", "Maximiliane Schmidt-Hohenstein", "Maximiliane Schmidt-"),
    ],
)
def test_a_value_is_shortened_or_put_on_one_line(name: str, value: str, shown: str) -> None:
    """Visibly, where the type has a sign for it; an empty one becomes a dash, where that is allowed."""
    assert fit(name, value) == shown


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("phrase1", "OK", "template_field_form"),
        ("phrase1", "已经完成预约", "template_field_long"),
        ("phrase1", "", "template_field_empty"),
        ("character_string1", "订单1", "template_field_form"),
        ("number1", "三", "template_field_form"),
        ("number1", "３", "template_field_form"),
        ("number1", "", "template_field_empty"),
        ("number1", "1" * 33, "template_field_long"),
        ("letter1", "A1", "template_field_form"),
        ("letter1", "A" * 33, "template_field_long"),
        ("symbol1", "!!!!!!", "template_field_long"),
        ("time1", "明天", "template_field_form"),
        ("time1", "25:00", "template_field_form"),
        ("time1", "2026年11月23日", "template_field_form"),
        ("time1", "", "template_field_empty"),
        ("date1", "11/25", "template_field_form"),
        ("date1", "", "template_field_empty"),
        ("amount1", "一百元", "template_field_form"),
        ("amount1", "12345678901", "template_field_form"),
        ("phone_number1", "1" * 18, "template_field_long"),
        ("car_number1", "粤A8Z88888", "template_field_long"),
        ("car_number1", "A粤B", "template_field_form"),
        ("name1", "", "template_field_empty"),
        ("const1", "", "template_field_empty"),
        ("thing", "x", "template_field_unknown"),
        ("keyword1", "x", "template_field_unknown"),
        ("", "x", "template_field_unknown"),
    ],
)
def test_a_value_that_no_shortening_helps_is_refused(name: str, value: str, reason: str) -> None:
    """WeChat would refuse the whole message (47003); the reason is a sentence of the catalogue, and does not hold the value."""
    with pytest.raises(Unfit) as caught:
        fit(name, value)

    assert caught.value.reason == reason
    assert reason in TEXTS
    assert not value or value not in str(caught.value)


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=60))
def test_whatever_fits_is_taken_by_wechat(kind: str, value: str) -> None:
    """Either refused here, or of the length that the provider's table allows, on one line and not empty."""
    try:
        shown = fit(f"{kind}1", value)
    except Unfit:
        return

    assert shown
    assert not re.search(r"[\x00-\x1f\x7f]", shown)
    assert len(shown.encode("utf-16-le", "surrogatepass")) // 2 <= KINDS[kind].most
    if kind in ("thing", "character_string", "letter", "phrase", "number", "const"):
        assert not _wrong(f"{kind}1", {"value": shown})


def test_every_type_of_the_reference_is_known() -> None:
    """And no other."""
    assert KINDS.keys() == FIELDS.keys()


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("thing1", "{title}", None),
        ("thing1", "{{title}}", None),
        ("thing1", "您有 {count} 条新消息", None),
        ("thing1", "这段固定的文字已经占满了二十个字的位置啦{title}", "template_field_long"),
        ("thing1", "一二三四五六七八九十一二三四五六七八九十{x}", "template_field_long"),
        ("thing1", "一二三四五六七八九十一二三四五六七八九{x}", None),
        ("thing1", "第一行\n第二行", "template_field_line"),
        ("thing1", "", "template_field_empty"),
        ("thing1", "  ", "template_field_empty"),
        ("sentence1", "{title}", "template_field_unknown"),
        ("thing", "{title}", "template_field_unknown"),
        ("phrase2", "已OK", "template_field_form"),
        ("phrase2", "待就诊", None),
        ("phrase2", "{state}", None),
        ("phrase2", "已经完成预约", "template_field_long"),
        ("character_string3", "单号{number}", "template_field_form"),
        ("character_string3", "NO-{number}", None),
        ("time4", "{starts_at}", None),
        ("time4", "{day} {time}", None),
        ("time4", "{starts_at} 开始", "template_field_form"),
        ("time4", "15:01", None),
        ("time4", "15点", "template_field_form"),
        ("date5", "{day}", None),
        ("amount6", "{amount}元", None),
        ("amount6", "共{amount}", "template_field_form"),
        ("number7", "{count}", None),
        ("number7", "{count}条", "template_field_form"),
        ("name8", "患者{name}", None),
        ("name8", "尊敬的患者朋友们大家好{name}", "template_field_long"),
        ("name8", "Dear patient {name}", None),
    ],
)
def test_a_template_is_judged_when_it_is_defined(name: str, text: str, reason: str | None) -> None:
    """What can never be sent is refused then, by the reason of the catalogue."""
    assert check_field(name, text) == reason
    assert reason is None or reason in TEXTS
