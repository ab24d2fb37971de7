"""Every interpreter answers within its bounds, says that a machine made it, and says clearly when it has no answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from hub.content.interpretation import DISCLAIMER
from hub.content.interpreter import Interpreter, Unanswered
from hub.content.openai import OpenAiInterpreter, open_interpreter
from hub.content.reading import Json
from hub.content.rule_interpreter import RuleInterpreter
from hub.platform import settings
from hub.platform.identifier import new_id
from tests.fake_clock import FakeClock
from tests.standins.openai import ANSWER, API_KEY, MALFORMED, MODEL, OpenAiStandin

REPORT: Json = {"白细胞": "11.2×10^9/L", "血小板": "210×10^9/L"}
# Everything that tells who somebody is, in many places and forms; none of these may leave.
PERSONAL = (
    "张三丰",
    "李小龙",
    "王小明",
    "赵敏",
    "13800138000",
    "138 0013 8000",
    "010-12345678",
    "11010119900307123x",
    "zy20260007",
    "0007788",
    "1980-05-06",
    "1980年5月",
    "建国路88号",
    "朝阳区",
    "协和医院",
    "zhang.san@example.com",
    "阿依古丽",
)
PERSONAL_REPORT: Json = {
    "姓名": "张三丰",
    "patient_phone": 13800138000,
    "备注": "王小明，男，45岁，出生于1980年5月，家住北京市朝阳区建国路88号院，电话１３８ ００１３ ８０００，陪同人：李小龙",
    "登记": {"就诊号": "0007788", "出生日期": "1980-05-06", "身份证号": "11010119900307123X"},
    "抬头": "北京协和医院\n姓名 赵敏 住院号：ZY20260007 座机010-12345678 报告日期 1980-05-06\n邮箱zhang.san@example.com",
    "说明": "阿依古丽·买买提 的白细胞 11.2；138\u200b0013\u200b8000；张三丰复诊，11010119900307123X",
    "items": [{"name": "白细胞", "value": 11.2, "unit": "10^9/L"}, {"name": "高密度脂蛋白", "value": 1.2}],
    "13800138000": 1,
}


@pytest.fixture
def standin() -> Iterator[OpenAiStandin]:
    with OpenAiStandin() as running:
        yield running


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


class Outside:
    """An interpreter on the stand-in, with a Redis prefix and a clock of its own."""

    def __init__(self, standin: OpenAiStandin, redis_url: str, stack: AsyncExitStack) -> None:
        self.standin = standin
        self.clock = FakeClock()
        self._redis = settings.Redis(url=redis_url, prefix=f"test-{new_id()}")
        self._stack = stack

    async def open(self, **chosen: object) -> OpenAiInterpreter:
        values = {"base_url": self.standin.url, "model": MODEL, "api_key": API_KEY, "timeout_s": 0.5, **chosen}
        tree = settings.Settings(ai=settings.Ai(**values), redis=self._redis)  # type: ignore[arg-type]
        opened = await self._stack.enter_async_context(open_interpreter(tree, self.clock))
        assert opened is not None
        return opened


@pytest.fixture
def outside(standin: OpenAiStandin, redis_url: str, stack: AsyncExitStack) -> Outside:
    return Outside(standin, redis_url, stack)


@pytest_asyncio.fixture(params=["rules", "openai"])
async def interpreter(request: pytest.FixtureRequest, outside: Outside) -> Interpreter:
    return RuleInterpreter() if request.param == "rules" else await outside.open()


async def why(interpreter: Interpreter, report: Json = REPORT) -> tuple[str, bool]:
    with pytest.raises(Unanswered) as no:
        await interpreter.interpret("blood_routine", report)
    return str(no.value), no.value.again


@pytest.mark.parametrize("report", [REPORT, "白细胞 11.2×10^9/L", {}, "没有数字", PERSONAL_REPORT], ids=range(5))
async def test_a_finding_is_bounded_and_labelled(interpreter: Interpreter, report: Json) -> None:
    """Text, a confidence between 0 and 1, some suggestions; made by a machine, and no diagnosis."""
    finding = await interpreter.interpret("blood_routine", report)

    assert 0 < len(finding.interpretation) < 20_000
    assert "生成，仅供参考" in finding.interpretation
    assert finding.interpretation.endswith(DISCLAIMER)
    assert 0 <= finding.confidence <= 1
    assert 0 < len(finding.suggestions) <= 20
    assert finding.interpreter in ("rules", f"ai:{MODEL}")


async def test_what_the_service_says_is_handed_on(outside: Outside) -> None:
    """Its text, confidence and suggestions, asked with the key and the model of the settings."""
    finding = await (await outside.open()).interpret("血常规", REPORT)
    asked = json.loads(outside.standin.received[0])

    assert ANSWER["interpretation"] in finding.interpretation
    assert (finding.confidence, finding.suggestions) == (0.83, ANSWER["suggestions"])
    assert outside.standin.authorization == [f"Bearer {API_KEY}"]
    assert (asked["model"], asked["max_tokens"]) == (MODEL, 1500)
    assert json.loads(asked["messages"][1]["content"]) == {
        "报告": "血常规",
        "内容": {"白细胞": "11.2×10^9/l", "血小板": "210×10^9/l"},
    }


async def test_json_between_backticks_is_taken(outside: Outside) -> None:
    """A habit of many models."""
    outside.standin.mood = "fenced"

    assert (await (await outside.open()).interpret("blood_routine", REPORT)).confidence == 0.83


async def test_nothing_that_tells_who_somebody_is_leaves(outside: Outside) -> None:
    """By field, label, form or because it is known; what was measured arrives."""
    interpreter = await outside.open()
    await interpreter.interpret("张三丰的血常规", PERSONAL_REPORT, ["张三丰", "李小龙"])
    await interpreter.interpret("血常规", "\n".join(PERSONAL).replace("朝阳区", ""), ["张三丰", "李小龙", "阿依古丽"])
    left = [json.loads(each)["messages"][1]["content"] for each in outside.standin.received]

    for content in left:
        assert [each for each in PERSONAL if each in content.lower()] == []
    assert '{"name":"白细胞","value":11.2,"unit":"10^9/l"}' in left[0]
    assert "高密度脂蛋白" in left[0]


@pytest.mark.parametrize("mood", MALFORMED)
async def test_an_answer_that_is_none_is_not_handed_on(outside: Outside, mood: str) -> None:
    """Checked field by field; asking again would cost again."""
    outside.standin.mood = mood

    assert await why(await outside.open()) == ("malformed", False)


@pytest.mark.parametrize(
    ("mood", "expected"),
    [
        ("busy", ("http_429", True)),
        ("broken", ("http_500", True)),
        ("refused", ("http_401", False)),
        ("silent", ("silent", True)),
        ("slow", ("silent", True)),
        ("long", ("too_long", False)),
        ("endless", ("too_long", False)),
    ],
)
async def test_a_service_in_trouble_is_no_answer_within_the_time(
    outside: Outside, mood: str, expected: tuple[str, bool]
) -> None:
    """Whatever it does, it ends soon; and whether trying again may help is said."""
    interpreter = await outside.open()
    outside.standin.mood = mood
    async with asyncio.timeout(10):
        assert await why(interpreter) == expected
    assert len(outside.standin.received) == 1


async def test_a_service_that_is_not_there_is_no_answer(outside: Outside) -> None:
    """Refused connections are told like silence."""
    with OpenAiStandin() as gone:
        url = gone.url

    assert await why(await outside.open(base_url=url)) == ("silent", True)


async def test_a_failing_service_is_left_alone_for_a_while(outside: Outside) -> None:
    """After some failures in a row nobody asks; later one tries, and if that works all do."""
    interpreter = await outside.open(breaker_failures=3, breaker_pause_s=60.0)
    outside.standin.mood = "broken"
    for _ in range(3):
        assert await why(interpreter) == ("http_500", True)
    assert await why(interpreter) == ("breaker", False)
    assert len(outside.standin.received) == 3
    await outside.clock.advance(60)
    assert await why(interpreter) == ("http_500", True)
    assert await why(interpreter) == ("breaker", False)
    await outside.clock.advance(60)
    outside.standin.mood = ""
    for _ in range(2):
        await interpreter.interpret("blood_routine", REPORT)

    assert len(outside.standin.received) == 6


async def test_no_more_is_spent_in_a_day_than_the_settings_say(outside: Outside) -> None:
    """What a call is known to have cost counts; the next day begins anew, in China."""
    outside.standin.tokens = 4000
    interpreter = await outside.open(tokens_per_day=10_000)
    for _ in range(2):
        await interpreter.interpret("blood_routine", REPORT)
    outside.standin.tokens = 400
    await interpreter.interpret("blood_routine", REPORT)  # 8,000 spent, some 1,800 are put aside: it fits
    assert await why(interpreter) == ("budget", False)
    assert len(outside.standin.received) == 3
    await outside.clock.advance(13 * 3600)  # from 11:04 to midnight in Shanghai

    await interpreter.interpret("blood_routine", REPORT)
    assert len(outside.standin.received) == 4


async def test_neither_report_nor_key_reach_the_log(outside: Outside) -> None:
    """Not even when everything goes wrong."""
    interpreter = await outside.open()
    with capture_logs() as logs:
        for mood in ("", "broken", "prose", "silent"):
            outside.standin.mood = mood
            try:
                await interpreter.interpret("血常规", REPORT, ["张三丰"])
            except Unanswered:
                continue

    assert [each for each in ("11.2", "白细胞", API_KEY, "张三丰") if each in str(logs)] == []
    assert logs


async def test_without_an_address_or_a_model_there_is_no_outside() -> None:
    """The rules interpret then."""
    for chosen in (settings.Ai(), settings.Ai(base_url="http://127.0.0.1:9"), settings.Ai(model="m")):
        async with open_interpreter(settings.Settings(ai=chosen), FakeClock()) as opened:
            assert opened is None


async def test_a_time_that_a_worker_would_cut_off_is_refused_at_the_start() -> None:
    """Naming the key."""
    chosen = settings.Settings(ai=settings.Ai(base_url="http://127.0.0.1:9", model="m", timeout_s=18.0))
    with pytest.raises(settings.BadSettings, match=r"ai\.timeout_s"):
        async with open_interpreter(chosen, FakeClock()):
            pass
