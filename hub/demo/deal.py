"""The demo's orders as data: who booked what with whom, and how far it went. What was said of each stands in `care_talk`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time

from hub.demo.care_talk import CARE_TALKS
from hub.demo.talk import Talk
from hub.orders.model import State

_TALKS = {talk.name: talk for talk in CARE_TALKS}


@dataclass(frozen=True, slots=True)
class Visit:
    """When an appointment that is still to come is: so many days ahead, or on this weekday (1: Monday) of the next week."""

    at: time
    ahead: int = 1
    weekday: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    rating: int
    content: str


@dataclass(frozen=True, slots=True)
class Deal:
    """An order. People are places in the cast; `guests` are in the conversation besides, and doctors see the record.

    An appointment without `visit` began when its talk says so, or its order was paid.
    """

    name: str
    service: str
    state: State
    patient: str
    provider: str
    coordinator: str | None = None
    actor: str | None = None
    guests: tuple[str, ...] = ()
    talk: Talk | None = None
    visit: Visit | None = None
    hospital: str | None = None
    place: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""
    reason: str = ""
    verdict: Verdict | None = None


DEALS = (
    Deal(
        "order-1",
        "全程陪诊（半天）",
        State.IN_PROGRESS,
        "p1",
        "c1",
        coordinator="s1",
        guests=("d1",),
        talk=_TALKS["care-1"],
        hospital="北京清河安和医院",
        place={"building": "门诊楼", "meetingPoint": "东门"},
        notes="消化内科复诊，空腹太久容易头晕。",
    ),
    Deal(
        "order-2",
        "术后复诊陪诊（两小时）",
        State.COMPLETED,
        "p2",
        "c2",
        coordinator="s2",
        talk=_TALKS["care-2"],
        hospital="北京清河安和医院",
        place={"building": "门诊楼", "meetingPoint": "西门"},
        notes="右膝术后第三周换药，用拐杖。",
        verdict=Verdict(5, "陪诊师提前借好了轮椅，换药时一直在旁边，注意事项写得清清楚楚，女儿也放心。"),
    ),
    Deal(
        "order-3",
        "检查陪同（两小时）",
        State.COMPLETED,
        "p4",
        "c8",
        coordinator="s3",
        talk=_TALKS["care-3"],
        hospital="杭州钱塘宁和医院",
        place={"building": "五官楼", "meetingPoint": "一层服务台"},
        notes="糖尿病年度眼底和足部检查。",
        verdict=Verdict(5, "散瞳以后看不清路，幸好有人陪着取报告、送上车。"),
    ),
    Deal(
        "order-4",
        "内分泌科专家问诊",
        State.COMPLETED,
        "p3",
        "d2",
        coordinator="s3",
        talk=_TALKS["care-4"],
        notes="餐后血糖偏高，想问要不要加药。",
        verdict=Verdict(5, "医生先看了我一个月的血糖再开口，没有急着加药，讲得很实在。"),
    ),
    Deal(
        "order-5",
        "心血管内科专家问诊",
        State.COMPLETED,
        "p5",
        "d3",
        coordinator="s1",
        talk=_TALKS["care-5"],
        notes="清晨血压偏高。",
        verdict=Verdict(4, "解释得很清楚，就是晚了几分钟才进来，希望能提前通知一声。"),
    ),
    Deal(
        "order-6",
        "孕产检陪同",
        State.PAID,
        "p12",
        "c5",
        coordinator="s2",
        talk=_TALKS["care-6"],
        visit=Visit(time(8), ahead=2),
        hospital="南京秦淮德馨医院",
        place={"building": "妇产楼", "meetingPoint": "一层大厅"},
        notes="孕二十五周，做糖耐量。",
    ),
    Deal(
        "order-7",
        "老人陪诊（半天）",
        State.CONFIRMED,
        "p8",
        "c3",
        coordinator="s3",
        actor="p7",
        talk=_TALKS["care-7"],
        visit=Visit(time(9), weekday=3),
        hospital="上海申江和康医院",
        place={"building": "1 号楼", "meetingPoint": "正门"},
        notes="白内障术后复查，听力不好，走路需要搀扶。",
    ),
    Deal(
        "order-8",
        "骨科专家问诊",
        State.CANCELLED,
        "p9",
        "d6",
        coordinator="s2",
        talk=_TALKS["care-8"],
        visit=Visit(time(9, 30), weekday=4),
        notes="肩膀抬不起来两个月。",
        reason="临时出差，下个月再约。",
    ),
    Deal(
        "order-9",
        "儿童就诊陪同",
        State.PENDING,
        "p10",
        "c4",
        visit=Visit(time(9)),
        hospital="广州珠水同泽医院",
        place={"building": "门诊楼", "meetingPoint": "南门"},
        notes="孩子六岁，复查过敏性鼻炎，妈妈抱着弟弟一起去。",
    ),
)


def day_of(visit: Visit, today: date) -> date:
    """The day of a visit, which is always after today."""
    if visit.weekday is None:
        return date.fromordinal(today.toordinal() + visit.ahead)
    monday = today.toordinal() - today.isoweekday() + 8
    return date.fromordinal(monday + visit.weekday - 1)
