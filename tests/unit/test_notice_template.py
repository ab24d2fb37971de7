"""Templates: what is refused when one is defined, and a rendering that never fails and never exceeds a limit."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.port import Content
from channels.wechat_field import fit
from hub.notices.notice_class import CHANNELS, CLASSES, ChannelName
from hub.notices.template import PARAMS, SAMPLE, Template, missing, render
from hub.notices.template_check import check
from hub.notices.template_default import DEFAULTS
from hub.platform.text import TEXTS

# What must never be read on a locked screen.
TELLING = re.compile(
    r"健康|血|糖|病|药|诊|医|科|治疗|检查|health|doctor|hospital|medic|clinic|blood|diagnos", re.IGNORECASE
)
URL = "https://hub.example.com/"


def template(**changed: Any) -> Template:
    plain: dict[str, Any] = {
        "code": "appointment",
        "channel": "email",
        "language": "zh",
        "title": "提醒",
        "body": "请登录",
    }
    return Template(**plain | changed)


def shown(chosen: Template, values: dict[str, Any] | None = None, count: int = 3, public_url: str = URL) -> Content:
    return render(chosen, values or {}, count=count, ttl_s=60, public_url=public_url)


def test_every_class_has_a_sound_default_for_each_of_its_channels() -> None:
    """In both languages; those of WeChat and SMS are off until staff say what the provider calls them."""
    assert {code for code, _, _ in DEFAULTS} == {each.template for each in CLASSES.values()} == set(PARAMS)
    assert len(DEFAULTS) == len(CLASSES) * len(CHANNELS) * 2
    for key, each in DEFAULTS.items():
        assert key == (each.code, each.channel, each.language)
        assert check(each) == {}, key
        assert each.is_off == (each.channel in ("wechat", "sms"))
        assert set(each.params) >= each.used


def test_the_defaults_tell_nothing_of_health() -> None:
    """No diagnosis, no department, nobody's name: "您有一项预约提醒" is all."""
    for each in DEFAULTS.values():
        content = shown(each, SAMPLE)
        assert not TELLING.search(" ".join((content.title, content.body, *content.fields.values())))


def test_values_take_the_places_of_placeholders() -> None:
    """A time is told on the wall clock of the person."""
    chosen = template(title="{count} 条", body="{time}，单号 {orderNo}", params=["count", "time", "orderNo"])
    values = {"time": "2026-01-31T23:30:00Z", "orderNo": "ORDER1"}
    english = msgspec.structs.replace(chosen, language="en")
    elsewhere = render(english, values, count=3, ttl_s=60, public_url=URL, timezone="Europe/Berlin")

    assert (shown(chosen, values).title, shown(chosen, values).body) == ("3 条", "2026年2月1日 07:30，单号 ORDER1")
    assert elsewhere.body == "2026-02-01 00:30，单号 ORDER1"
    assert shown(chosen, {"time": "明天上午", "orderNo": 7}).body == "明天上午，单号 7"


def test_braces_in_a_value_stay_what_they_are() -> None:
    """Nobody gets another value shown by writing its name."""
    assert shown(template(body="{orderNo}，{time}"), {"orderNo": "{time}", "time": "现在"}).body == "{time}，现在"


@pytest.mark.parametrize(("count", "said"), [(0, "1"), (1, "1"), (99, "99"), (100, "99+"), (5000, "99+")])
def test_many_are_said_as_people_read_it(count: int, said: str) -> None:
    """But WeChat's number is a number."""
    chat = DEFAULTS["chat", "wechat", "zh"]

    assert shown(template(body="{count}"), count=count).body == said
    assert shown(chat, count=count).fields["number2"] == said.rstrip("+")


def test_a_missing_value_says_where_to_find_it() -> None:
    """A defect, named for the log; people see a sentence that is true."""
    chosen = DEFAULTS["appointment", "email", "zh"]

    assert shown(chosen).body == "您有一项预约提醒，时间：请登录查看。详情请登录查看。"
    assert missing(chosen, {}) == missing(chosen, {"time": None}) == missing(chosen, {"time": "\n"}) == ["time"]
    assert missing(chosen, SAMPLE) == missing(DEFAULTS["chat", "email", "zh"], {}) == []


def test_what_wechat_could_only_refuse_names_no_template() -> None:
    """A field for a time without a time; the ladder goes on at once."""
    ready = msgspec.structs.replace(DEFAULTS["appointment", "wechat", "zh"], provider_template="tmpl")

    assert shown(ready, SAMPLE).template == "tmpl"
    assert shown(ready, SAMPLE).fields == {"thing1": "您有一项预约提醒", "time2": "2026年1月31日 09:00"}
    assert (shown(ready).template, shown(ready).fields) == ("", {})


def test_too_much_is_cut_visibly() -> None:
    """Title, body, fields of WeChat and parameters of a text message, each to its own limit."""
    long = {"orderNo": "订" * 64}
    email = shown(template(title="{orderNo}" * 2, body="{orderNo}" * 9), long)
    wechat = shown(template(channel="wechat", fields={"thing1": "{orderNo}"}, provider_template="t"), long)
    sms = shown(template(channel="sms", fields={"no": "{orderNo}", "none": "{other}"}, provider_template="t"), long)

    assert email.title == "订" * 63 + "…"
    assert email.body == "订" * 499 + "…"
    assert wechat.fields == {"thing1": "订" * 19 + "…"}
    assert sms.fields == {"no": "订" * 34 + "…", "none": "请登录查看"}


def test_the_order_of_fields_is_kept() -> None:
    """Tencent's parameters have no names."""
    fields = {"zeta": "{time}", "b": "1", "alpha": "{orderNo}"}

    assert list(shown(template(channel="sms", fields=fields), SAMPLE).fields) == ["zeta", "b", "alpha"]


@pytest.mark.parametrize(
    ("channel", "public_url", "url"),
    [
        ("email", URL, "https://hub.example.com/orders?no=%E5%8D%95%2F%3F"),
        ("webpush", "", "/orders?no=%E5%8D%95%2F%3F"),
        ("email", "", ""),
        ("wechat", URL, "orders?no=%E5%8D%95%2F%3F"),
    ],
)
def test_a_path_leads_to_the_hub(channel: ChannelName, public_url: str, url: str) -> None:
    """A browser completes it by itself, WeChat has pages, and what cannot follow a path gets none."""
    chosen = template(channel=channel, url="/orders?no={orderNo}")

    assert shown(chosen, {"orderNo": "单/?"}, public_url=public_url).url == url


JUNK = st.one_of(st.none(), st.text(max_size=200), st.integers(), st.floats(), st.booleans(), st.lists(st.integers()))


@given(
    st.sampled_from(sorted(DEFAULTS)),
    st.dictionaries(st.sampled_from(["time", "orderNo", "count", "其他"]), JUNK),
    st.integers(),
    st.text("{}count time\n字", max_size=600),
)
def test_rendering_never_fails_and_keeps_every_limit(
    key: tuple[str, ChannelName, Any], values: dict[str, Any], count: int, text: str
) -> None:
    """Whatever the values, and whatever a template was that nobody checked."""
    fields = {"thing1": text, "time2": "{time}"} if key[1] == "wechat" else {"a": text}
    for chosen in (DEFAULTS[key], msgspec.structs.replace(DEFAULTS[key], title=text, body=text, fields=fields)):
        content = shown(chosen, values, count)

        assert 1 <= len(content.title) <= 64
        assert content.title.isprintable()
        assert 1 <= len(content.body) <= 500
        if key[1] == "wechat":
            assert all(fit(name, value) == value for name, value in content.fields.items())
        else:
            assert all(1 <= len(value) <= 35 for value in content.fields.values())


@pytest.mark.parametrize(
    ("changed", "field", "reason"),
    [
        ({"title": " "}, "title", "text_blank"),
        ({"title": "两\n行"}, "title", "text_blank"),
        ({"body": "\n"}, "body", "text_blank"),
        ({"body": "\x00"}, "body", "text_blank"),
        ({"title": "长" * 65}, "title", "template_title_long"),
        ({"body": "长" * 501}, "body", "template_body_long"),
        ({"body": "{time}"}, "body", "template_placeholder_undeclared"),
        ({"url": "/a?n={orderNo}"}, "url", "template_placeholder_undeclared"),
        ({"body": "{ time }"}, "body", "template_placeholder_broken"),
        ({"body": "{{count}}", "params": ["count"]}, "body", "template_placeholder_broken"),
        ({"params": ["diagnosis"]}, "params", "template_param_unknown"),
        ({"code": "chat", "params": ["orderNo"]}, "params", "template_param_unknown"),
        ({"url": "https://evil.example"}, "url", "template_url_relative"),
        ({"url": "//evil.example"}, "url", "template_url_relative"),
        ({"url": "/\\evil.example"}, "url", "template_url_relative"),
        ({"url": "javascript:alert(1)"}, "url", "template_url_relative"),
        ({"url": "/a\n"}, "url", "template_url_relative"),
        ({"fields": {"a": "b"}}, "fields", "template_fields_unwanted"),
        ({"provider_template": "x"}, "providerTemplate", "template_fields_unwanted"),
        ({"channel": "wechat"}, "fields", "template_fields_missing"),
        ({"channel": "wechat", "fields": {"thing": "提醒"}}, "fields.thing", "template_field_unknown"),
        ({"channel": "wechat", "fields": {"thing1": "长" * 21}}, "fields.thing1", "template_field_long"),
        ({"channel": "wechat", "fields": {"number1": "三"}}, "fields.number1", "template_field_form"),
        ({"channel": "wechat", "fields": {"thing1": "{time}"}}, "fields.thing1", "template_placeholder_undeclared"),
        ({"channel": "sms", "fields": {"a": "长" * 36}}, "fields.a", "template_sms_field_long"),
        ({"channel": "sms", "fields": {"a": " "}}, "fields.a", "template_field_empty"),
        ({"channel": "sms", "fields": {"名": "b"}}, "fields.名", "template_sms_field_name"),
        ({"channel": "sms", "provider_template": "<x>"}, "providerTemplate", "template_field_form"),
    ],
)
def test_what_is_not_sound_is_named_when_it_is_defined(changed: dict[str, Any], field: str, reason: str) -> None:
    """Not when it is sent. A reason is one of the catalogue's."""
    assert check(template(**changed)) == {field: reason}
    assert reason in TEXTS


def test_a_template_for_two_providers_of_text_messages_names_both() -> None:
    """And without any it is sound, but off."""
    both = template(
        channel="sms", provider_template="aliyun=SMS_123 tencent=456", fields={"time": "{time}"}, params=["time"]
    )

    assert check(both) == check(msgspec.structs.replace(both, provider_template="")) == {}
    assert not both.is_off
    assert msgspec.structs.replace(both, provider_template="").is_off
