"""Words of somebody who may need help at once: a list with its version, and whether a text holds one of them. No I/O.

The list leans to the side of an alarm: only a plain negation right before a word takes it back. What stands in it is for doctors
to say; raise `RULE_VERSION` with every change.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

import msgspec

from hub.messaging.model import Draft, EntryType

RULE_VERSION = "2026-11"

Severity = Literal["critical", "warning"]


class Rule(msgspec.Struct, frozen=True):
    """Words of one kind, as patterns for simplified characters without spaces and punctuation.

    Each begins with a character or a set of them: then `re` looks for the few first characters in C, and everything else
    costs nothing.
    """

    name: str
    severity: Severity
    words: tuple[str, ...]


class Sign(msgspec.Struct, frozen=True):
    """What was found in a text; never the words themselves."""

    rule: str
    severity: Severity


_VERY = "(?:[好很太剧巨又也都还闷绞刺疼]|非常|特别|剧烈|突然|一直|一阵阵?|有点|压榨性?|隐隐|这里|里面|现在){0,3}"
_MUCH = "了?(?:好多|很多|大量|一口|几口|大口|一大口)?(?:的)?鲜?"
_DISEASE = "(?:心梗|心肌梗[死塞]|脑梗[死塞]?|脑卒中|中风|脑出血|脑溢血)"
_NUMB = "[边侧]?(?:身子|身体|身|脸|手脚|肢体|胳膊)(?:突然|都|也)?(?:不能动|动不了|麻木|没知觉|没力气|抬不起来)"

# In the order in which they count where a text holds several: what is said after the first names both numbers to call.
RULES = (
    Rule(
        "self_harm",
        "critical",
        (
            "自杀(?!式)",
            "轻生",
            "自残",
            "割腕",
            "寻(?:死|短见)",
            "服毒",
            "遗书",
            "不想再?活",
            "活不下去",
            "活着没有?(?:什么|啥)?意[思义]",
            "想(?:要|去)?死(?!了?[你我他她]|大家|个)",
            "死了(?:算了|一了百了)",
            "结束(?:自己的?|我的?|这)?(?:生命|一切)",
            "了结(?:自己|生命)",
            "[想要去备]跳[楼河桥](?![价机])",
            "吞了?[一整大]?[瓶把]?安眠药",
            "伤害自己",
        ),
    ),
    Rule(
        "chest_pain",
        "critical",
        (f"胸[口部前腔]?{_VERY}[痛疼]", f"心(?:口|脏|前区){_VERY}[痛疼]", "心绞痛"),
    ),
    Rule(
        "breathing",
        "critical",
        (
            "[喘透吸]不[上过]来?气",
            "上不来气",
            "上气不接下气",
            "气都?[喘上]不[上过来]",
            "[喘透]不过来",
            "呼吸(?:[很好]|非常|特别|越来越|有点|十分|突然)?困难",
            "呼吸不[了上]",
            "不能呼吸",
            "无法呼吸",
            "没办?法呼吸",
            "窒息",
            "噎住",
            "喉头水肿",
            "嘴唇都?发?[紫青]",
        ),
    ),
    Rule(
        "unconscious",
        "critical",
        (
            "昏(?:迷|倒|厥|过去)",
            "晕(?:倒|厥|过去)",
            "休克",
            "不省人事",
            "失去了?[意知][识觉]",
            "[没无]有?意识(?![到地的])",
            "[叫喊摇]不醒",
            "[没无]有?了?(?:呼吸|心跳|脉搏)(?![困道系科急不问障过异内])",
            "呼吸(?:停|骤停|没了)",
            "心(?:跳|脏)(?:停|骤停|没了)",
        ),
    ),
    Rule(
        "bleeding",
        "critical",
        (
            "大出血",
            "血流不止",
            "流血不止",
            "出血不止",
            "止不住血",
            "血都?止不住",
            f"[吐呕咯咳]{_MUCH}血(?![压糖脂])",
            "流了?(?:好多|很多|大量)的?血",
        ),
    ),
    Rule(
        "stroke",
        "critical",
        (
            *(
                f"{sudden}{_DISEASE}(?!病?史)"
                for sudden in (
                    "突发",
                    "突然",
                    "急性",
                    "可能是?",
                    "疑似",
                    "怀疑是?",
                    "好像是?",
                    "像是",
                    "是不是",
                    "不会是",
                )
            ),
            "心(?:梗|肌梗[死塞])(?:发作|了(?!解))",
            "脑(?:梗[死塞]?|卒中|出血|溢血)(?:发作|了(?!解))",
            "中风(?:发作|了(?!解))",
            "[嘴口]角?(?:都|有点|突然)?歪[了斜]",
            f"[半一]{_NUMB}",
            "突然(?:说不出话|说不了话|看不见|失语)",
        ),
    ),
    Rule(
        "poisoning",
        "critical",
        (
            "喝了?(?:[一半]瓶|点)?(?:农药|百草枯|敌敌畏)",
            "煤气中毒",
            "一氧化碳中毒",
            "药物(?:中毒|过量)",
            "农药中毒",
        ),
    ),
    Rule("seizure", "critical", ("全身抽搐", "抽搐不止", "[一还]直?在?抽搐", "口吐白沫", "惊厥", "癫痫大?发作")),
    Rule("labour", "warning", ("羊水破", "破水了")),
    Rule(
        "severe_pain",
        "warning",
        ("头痛欲裂", "[痛疼]得?(?:快?[晕昏]|打滚|要死|不行了)", "剧烈的?[头腹肚]子?[痛疼]", "炸裂样?的?头[痛疼]"),
    ),
)


def _expanded(word: str) -> Iterator[str]:
    """One pattern for each character that the word may begin with."""
    firsts, bracket, rest = word[1:].partition("]") if word.startswith("[") else ("", "", word)
    return (first + rest for first in firsts) if bracket else iter((word,))


_parts = [(number, part) for number, rule in enumerate(RULES) for word in rule.words for part in _expanded(word)]
# An empty group at the end of each part says which it was; a named one around it would hide its first character.
_found = re.compile("|".join(f"{part}()" for _, part in _parts))
_rule_of = (0, *(number for number, _ in _parts))  # by the group's number, from 1
_negation = re.compile(
    "(?:没有?|不是?|不会|不想|不要|无|从?未|否认|排除|预防|防止|避免|[得患]过|没什么|没怎么|不再|不怎么|不太|不曾)"
    "(?:再|再?出现|再?发生|见|过)?过?(?:[有会想要去]|要去|想过)?$"
)
_so = re.compile("得?过?(?:这么|那么|如此|像这)")  # "从来没有胸痛这么厉害" takes nothing back
_between = re.compile(r"[\W_]+")
# The traditional forms of the characters above.
_TRADITIONAL = (
    "氣殺暈過難無沒識腦風樓遺書結農藥說話輕殘敵頭腫驚癲癇發劇體動為會現認壓臟"
    "這麼樣來斷邊側臉備裡隱悶絞搖嘔傷幾鮮區義覺還陣個點橋機尋見與脈"
)
_SIMPLIFIED = (
    "气杀晕过难无没识脑风楼遗书结农药说话轻残敌头肿惊癫痫发剧体动为会现认压脏"
    "这么样来断边侧脸备里隐闷绞摇呕伤几鲜区义觉还阵个点桥机寻见与脉"
)
# Where Unicode has other forms of ideographs: radicals, annotations, circled ones, compatibility ideographs.
_FORMS = ((0x2E80, 0x2FDF), (0x3190, 0x319F), (0x3280, 0x32B0), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))


def _plain_forms() -> dict[int, str]:
    """Every other form of a character of the words, and the one that they use: one for one, so no text grows by it.

    NFKC of the whole text would make 18 characters of some. The words hold neither Latin nor digits, which are all that has
    full-width forms; spaces and marks go, however wide.
    """
    simplified = dict(zip(_TRADITIONAL, _SIMPLIFIED, strict=True))
    used = set("".join((_found.pattern, _negation.pattern, _so.pattern)))
    forms = {ord(form): plain for form, plain in simplified.items()}
    for point in (point for first, last in _FORMS for point in range(first, last + 1)):
        form = unicodedata.normalize("NFKC", chr(point))
        plain = simplified.get(form, form)
        if plain in used and plain != chr(point):
            forms[point] = plain
    return forms


_plain = _plain_forms()
_other_forms = re.compile(f"[{''.join(map(chr, _plain))}]")  # to look first is cheaper
_LONGEST_NEGATION = 8
_TAKEN_BACK_MOST = 30  # nobody denies so much in one message: what comes after counts as said


class _Said(msgspec.Struct, frozen=True):
    """The parts of a body in which somebody writes."""

    text: str = ""
    caption: str = ""


_said = msgspec.json.Decoder(_Said)
_WRITTEN = frozenset({EntryType.TEXT, EntryType.EDIT, EntryType.IMAGE, EntryType.FILE})
_CLINICAL = frozenset({"doctor", "staff", "admin"})  # they ask for such things, and answer with such words


def sign_of(role: str, draft: Draft) -> Sign | None:
    """Whether somebody with this account role writes of an emergency in this entry."""
    return None if role in _CLINICAL else sign_in_body(draft.type, draft.body)


def sign_in_body(entry_type: str, body: bytes) -> Sign | None:
    """Whether an entry of this type says such words, whoever wrote it."""
    if entry_type not in _WRITTEN:
        return None
    said = _said.decode(body)
    return sign_in(said.text or said.caption)


def sign_in(text: str) -> Sign | None:
    """The gravest that the text speaks of. A message of 35 characters that speaks of none takes 8 µs on a busy machine.

    The whole text is looked through, as a long farewell says it at its end; it has `text_chars` characters at most. The worst
    of 5,000 that we could think of take 4 ms: each character is a step of one search that goes back over a few, and
    what stands before a match is looked at `_TAKEN_BACK_MOST` times and once a rule.
    """
    plain = text.translate(_plain) if _other_forms.search(text) else text
    bare = _between.sub("", plain)
    places: list[int] = []
    gravest, taken_back = len(RULES), 0
    for word in _found.finditer(bare):
        number = _rule_of[word.lastindex or 0]
        if number >= gravest:
            continue
        places = places or [place for place, character in enumerate(plain) if character.isalnum()]  # those of `bare`
        if taken_back < _TAKEN_BACK_MOST and _is_taken_back(word, bare, places):
            taken_back += 1
            continue
        gravest = number
        if not gravest:
            break
    return Sign(RULES[gravest].name, RULES[gravest].severity) if gravest < len(RULES) else None


def _is_taken_back(word: re.Match[str], bare: str, places: list[int]) -> bool:
    """By what stands right before it. "没有，胸痛" takes nothing back: it answers one question, and then says what hurts."""
    start, last = word.start(), word.end() - 1
    before = _negation.search(bare, max(0, start - _LONGEST_NEGATION), start)
    if before is None or _so.match(bare, word.end()):
        return False
    return places[last] - places[before.start()] == last - before.start()
