"""Words of an emergency: what is one, what is none, and that they cannot be hidden by how they are written."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.messaging import emergency
from hub.messaging.emergency import RULES, Sign, sign_in, sign_of
from hub.messaging.model import Draft

MEANT = {
    "医生，我胸痛": "chest_pain",
    "从早上开始胸口很疼": "chest_pain",
    "胸部剧烈疼痛，出冷汗": "chest_pain",
    "心脏突然疼": "chest_pain",
    "从来没有胸痛这么厉害": "chest_pain",
    "没有，胸痛": "chest_pain",
    "没有发烧，但是胸痛": "chest_pain",
    "老毛病没有了。胸痛！": "chest_pain",
    "我喘不上气": "breathing",
    "妈妈突然喘不过气来": "breathing",
    "呼吸很困难": "breathing",
    "没有胸痛，但是呼吸困难": "breathing",
    "躺下就透不过气": "breathing",
    "爸爸昏迷了": "unconscious",
    "他刚才晕倒在厕所": "unconscious",
    "老人叫不醒，怎么办": "unconscious",
    "孩子没有呼吸了": "unconscious",
    "没心跳了": "unconscious",
    "产后大出血": "bleeding",
    "伤口血流不止": "bleeding",
    "刚刚吐了好多血": "bleeding",
    "血止不住": "bleeding",
    "突发脑梗了怎么办": "stroke",
    "他嘴角歪了": "stroke",
    "半边身子动不了": "stroke",
    "会不会是疑似心梗": "stroke",
    "孩子喝了农药": "poisoning",
    "可能煤气中毒": "poisoning",
    "孩子全身抽搐": "seizure",
    "我想自杀": "self_harm",
    "不想活了": "self_harm",
    "活着没意思": "self_harm",
    "真的很想死": "self_harm",
    "准备跳楼": "self_harm",
    "他割腕了": "self_harm",
    "胸痛，不想活了": "self_harm",
    "头痛欲裂，还胸痛": "chest_pain",
    "羊水破了": "labour",
    "肚子痛得打滚": "severe_pain",
    # Written otherwise.
    "胸 口 痛": "chest_pain",
    "胸、痛": "chest_pain",
    "胸\u200b痛": "chest_pain",
    "喘不上氣": "breathing",
    "呼吸困難": "breathing",
    "想自殺": "self_harm",
    "暈倒了": "unconscious",
    "止不住⾎": "bleeding",  # the radical, not the character
}
NOT_MEANT = [
    "医生您好，我昨天血压一百三十，今天早上有点头晕，要不要复诊？",
    "没有胸痛",
    "不胸痛了",
    "没有胸痛和发热",
    "沒有胸痛",
    "我没有出现呼吸困难",
    "不是心绞痛吧",
    "从未昏迷",
    "没有想自杀",
    "我不会自杀的",
    "不想死",
    "想死你了",
    "想死我了",
    "自杀式减肥",
    "我爸有脑梗，想预约复查",
    "心梗病史五年",
    "得过心梗",
    "想了解脑出血的康复",
    "我没有意识到要空腹",
    "没有呼吸道感染",
    "咳血糖仪的事",
    "跳楼价",
    "好心疼孩子",
    "心口如一",
    "眼皮一跳一跳",
    "预防窒息的课程在哪里",
    "chest pain",
    "",
]
words = st.sampled_from(
    ["胸痛", "喘不上气", "想自杀", "昏迷", "大出血", "呼吸困难", "不想活", "没有呼吸了", "血流不止"]
)
between = st.text(st.sampled_from(" \t\n，。、！？…·—-_*.,;:()（）【】\u200b\u3000\ufe0f😭"), max_size=3)


def draft(body: object, kind: str = "text") -> Draft:
    return Draft(conversation="c", sender="s", client_msg_id="m", type=kind, body=msgspec.json.encode(body))


@pytest.mark.parametrize("text", MEANT)
def test_words_of_an_emergency_are_found(text: str) -> None:
    """P11: and they are told apart, because what is answered differs."""
    found = sign_in(text)

    assert found is not None
    assert found.rule == MEANT[text]
    assert found.severity == next(rule.severity for rule in RULES if rule.name == found.rule)


@pytest.mark.parametrize("text", NOT_MEANT)
def test_ordinary_words_are_let_pass(text: str) -> None:
    """A plain negation takes a word back; a disease that somebody has had is none of today."""
    assert sign_in(text) is None


@given(words, st.data(), st.text(max_size=20))
def test_spaces_and_marks_do_not_hide_a_word(word: str, data: st.DataObject, tail: str) -> None:
    """Whatever stands between its characters."""
    spread = "".join(sign + data.draw(between) for sign in word)

    assert sign_in(f"{spread}。{tail}") is not None


@given(st.text(max_size=200), st.text(alphabet="没有不想死胸口痛呼吸困难血停了突然心梗是", max_size=60))
def test_any_text_has_an_answer(text: str, jumble: str) -> None:
    """P14: nothing that somebody can write costs them their message."""
    for each in (text, jumble, text + jumble):
        assert sign_in(each) is None or isinstance(sign_in(each), Sign)


@pytest.mark.parametrize("word", ["想死", "不想活", "胸痛"])
def test_a_long_text_is_looked_through(word: str) -> None:
    """The whole of it."""
    assert sign_in("我没有不舒服，" * 700 + word) is not None
    assert sign_in("没有不想" * 1000) is None


@pytest.mark.parametrize("text", ["没有胸痛", "不胸痛，", "羊水破", "胸痛", "没有胸痛羊水破"])
def test_a_hostile_text_costs_little(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """P15: what stands before a match is looked at a few times, however many there are; after so many denials it counts."""
    looked = 0
    look = emergency._is_taken_back

    def counting(*arguments: Any) -> bool:  # Any: whatever it takes
        nonlocal looked
        looked += 1
        return look(*arguments)

    monkeypatch.setattr(emergency, "_is_taken_back", counting)
    found = sign_in(text * 700)

    assert looked <= 30 + len(RULES)
    assert found is not None


def test_many_denials_hide_nothing() -> None:
    """P11: neither something graver nor what is said at the end."""
    denied = "没有羊水破，" * 100

    assert sign_in("没有羊水破，" * 30) is None
    assert sign_in(denied) == Sign("labour", "warning")
    assert sign_in(denied + "想自杀") == Sign("self_harm", "critical")


def test_a_text_does_not_grow_by_its_forms() -> None:
    """P15: some characters are 18 in their plain form."""
    assert {len(plain) for plain in emergency._plain.values()} == {1}
    assert sign_in("\ufdfa" * 5000 + "止不住⾎") == Sign("bleeding", "critical")


@pytest.mark.parametrize(
    ("role", "entry", "expected"),
    [
        ("patient", draft({"text": "我胸痛"}), True),
        ("companion", draft({"text": "他昏迷了"}), True),
        ("patient", draft({"attachment": "a", "caption": "吐了好多血"}, "image"), True),
        ("patient", draft({"attachment": "a", "caption": "诊断书"}, "file"), False),
        ("patient", draft({"text": "我胸痛"}, "edit"), True),
        ("patient", draft({"emoji": "胸痛"}, "react"), False),
        ("patient", draft({"attachment": "a"}, "voice"), False),
        ("doctor", draft({"text": "有没有胸痛"}), False),
        ("doctor", draft({"text": "我胸痛"}), False),
        ("staff", draft({"text": "他昏迷了"}), False),
        ("admin", draft({"text": "他昏迷了"}), False),
    ],
    ids=lambda value: None if not isinstance(value, str) else value,
)
def test_only_what_the_cared_for_write_counts(role: str, entry: Draft, expected: bool) -> None:
    """Doctors and staff ask for such things in every talk."""
    assert (sign_of(role, entry) is not None) is expected


def test_every_word_can_be_looked_for_by_its_first_character() -> None:
    """It is what keeps the look at each message cheap: one that begins otherwise would cost ten times as much."""
    for rule in RULES:
        for word in rule.words:
            start = word[word.startswith("[")]
            assert "\u4e00" <= start <= "\u9fff", word
            rest = word.partition("]")[2] if word.startswith("[") else word[1:]
            assert not rest.startswith(("?", "*", "{")), word
