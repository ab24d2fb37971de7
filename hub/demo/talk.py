"""What people of the demo say: fixed texts, so that every installation shows the same. No real person is meant."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

from hub.demo.cast import id_of
from hub.directory.model import SHANGHAI
from hub.messaging.model import Body, EntryType, Kind, ReactBody, RecallBody, TextBody

MINUTES_BETWEEN = 4  # lines of one talk

# What the hub says of an order as it goes on, and when it closes the conversation.
Step = Literal["paid", "confirmed", "started", "completed", "cancelled", "closed"]


@dataclass(frozen=True, slots=True)
class Line:
    """Something said. `who` is a place in the cast (`p1`: the first patient), `target` a line of the same talk, from 1."""

    who: str
    body: Body
    type: EntryType = EntryType.TEXT
    target: int | None = None
    pause: int = MINUTES_BETWEEN
    """Minutes since the line before."""


@dataclass(frozen=True, slots=True)
class News:
    """A step of the order that a talk follows, told by the hub."""

    step: Step
    pause: int = MINUTES_BETWEEN


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation; the first of `people` owns a group and is the patient in care. `unread`: what they have not read.

    It ended `minutes_ago`, or `days_ago` at this time of day in Shanghai.
    """

    name: str
    kind: Kind
    people: tuple[str, ...]
    lines: tuple[Line | News, ...]
    minutes_ago: int = 0
    days_ago: int = 0
    at: time | None = None
    title: str = ""
    unread: int = 0

    @property
    def id(self) -> str:
        return id_of(self.name)

    @property
    def is_over(self) -> bool:
        """Whether it is read-only."""
        return any(isinstance(line, News) and line.step == "closed" for line in self.lines)

    def moments(self, now: datetime) -> list[datetime]:
        """When each line was said."""
        moment, moments = self._end(now), []
        for line in reversed(self.lines):
            moments.append(moment)
            moment -= timedelta(minutes=line.pause)
        return moments[::-1]

    def _end(self, now: datetime) -> datetime:
        if self.at is None:
            return now - timedelta(minutes=self.minutes_ago)
        day: date = now.astimezone(SHANGHAI).date() - timedelta(days=self.days_ago)
        return datetime.combine(day, self.at, SHANGHAI).astimezone(now.tzinfo)


def say(who: str, words: str, pause: int = MINUTES_BETWEEN) -> Line:
    return Line(who, TextBody(text=words), pause=pause)


# Those that follow an order are in `care_talk`.
TALKS = (
    Talk(
        "group-1",
        Kind.GROUP,
        ("d2", "p1", "p3", "p4", "p5", "s1"),
        title="糖尿病随访小组",
        minutes_ago=45,
        unread=1,
        lines=(
            say("d2", "大家好，这个小组用来记录血糖和交流饮食，请每周至少报两次空腹血糖。"),
            say("p3", "今天早上空腹 6.8。"),
            say("p4", "我 7.9，昨晚吃了一小碗面条。"),
            say("d2", "面条升糖快，可以换成杂粮饭，先吃菜再吃主食。"),
            say("p5", "请问饭后多久测合适？"),
            say("d2", "从吃第一口饭算起一小时。"),
            Line("d2", TextBody(text="从吃第一口饭算起两小时。"), EntryType.EDIT, target=6),
            say("p1", "这周平均 6.5，比上个月好多了。"),
            Line("d2", ReactBody(emoji="💪"), EntryType.REACT, target=8),
            say("s1", "提醒：本周六上午九点线上讲座《冬季控糖与足部护理》，可在“服务”里报名。"),
            say("p4", "已报名。"),
            say("d2", "好的，低于 3.9 或者出现心慌出汗，请立即吃糖并联系我。"),
        ),
    ),
    Talk(
        "group-2",
        Kind.GROUP,
        ("d3", "d4", "d5", "s1", "s3"),
        title="心内科值班交接",
        minutes_ago=240,
        lines=(
            say("d3", "夜班平稳，三床凌晨两点血压 168/95，加用一次药后降到 142/88。"),
            say("d4", "收到，上午重点看三床，复查电解质。"),
            say("d5", "七床今天出院，出院小结我来写。"),
            say("s1", "七床家属预约了下午的陪诊，我来对接。"),
            say("d4", "动态心电图十一床排在九点半。"),
            say("s3", "好的，已通知十一床。"),
            say("d3", "我下班了，有事打电话。"),
        ),
    ),
    Talk(
        "direct-1",
        Kind.DIRECT,
        ("p1", "s1"),
        minutes_ago=600,
        lines=(
            say("p1", "您好，上次陪诊的发票怎么开？"),
            say("s1", "您好，在“我的订单”里打开该订单，点“申请发票”，填写抬头即可。"),
            say("p1", "抬头写个人可以吗？"),
            say("s1", "可以的，电子发票一般十分钟内发到您的邮箱。"),
            say("p1", "收到了，谢谢！"),
        ),
    ),
    Talk(
        "direct-2",
        Kind.DIRECT,
        ("c1", "d1"),
        minutes_ago=20,
        unread=1,
        lines=(
            say("c1", "医生您好，明天复诊的患者上午能不能先做呼气试验？她空腹太久容易头晕。"),
            say("d1", "可以，让她先去三层做呼气试验，抽血放在后面。"),
            say("c1", "好的，我来跟她说。"),
            say("d1", "另外请她把以往的胃镜报告带上。"),
        ),
    ),
    Talk(
        "direct-3",
        Kind.DIRECT,
        ("p2", "d6"),
        minutes_ago=90,
        unread=1,
        lines=(
            say("p2", "医生您好，拆线后多久可以洗澡？"),
            say("d6", "拆线后四十八小时，伤口干燥无渗出就可以淋浴，不要泡澡。"),
            say("p2", "这条发错了"),
            Line("p2", RecallBody(), EntryType.RECALL, target=3),
            say("p2", "那康复训练从什么时候开始呢？"),
            say("d6", "下周一开始，先做踝泵练习，每天三组，每组二十次，以不痛为度。"),
        ),
    ),
    Talk(
        "direct-4",
        Kind.DIRECT,
        ("c3", "p7"),
        minutes_ago=2900,
        lines=(
            say("p7", "下周三我妈妈要做白内障复查，您那天有空吗？"),
            say("c3", "有空的，您在小程序下单时选择我就可以。"),
            say("p7", "好的，已经下单。"),
            say("c3", "看到了。复查要散瞳，建议带一副墨镜，当天不要自己开车。"),
        ),
    ),
)
