"""The demo's plans: medicines, measurements, exercise and visits that come again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.care import plan_store
from hub.care.model import RecordType
from hub.care.occurrence_window import make_ahead
from hub.care.plan import Kind, Plan, State, timing
from hub.demo.cast import id_of
from hub.directory.model import SHANGHAI
from hub.security.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Intent:
    """A plan to be: begun so many days ago at this time of day in Shanghai, and until so many days ahead."""

    patient: str
    kind: Kind
    title: str
    schedule: str
    at: time
    begun: int
    notes: str = ""
    measured: RecordType | None = None
    ahead: int | None = None
    state: State = "active"
    by: str | None = None


INTENTS = (
    Intent("p1", "measurement", "空腹血糖", "FREQ=DAILY", time(6, 50), 120, measured="blood_glucose"),
    Intent("p1", "medication", "二甲双胍缓释片 0.5 克", "FREQ=DAILY", time(18), 300, notes="随晚餐服用。"),
    Intent("p1", "medication", "奥美拉唑 20 毫克", "FREQ=DAILY", time(7), 60, notes="呼气试验前停药。", state="paused"),
    Intent("p1", "visit", "消化内科复诊", "FREQ=MONTHLY;INTERVAL=3", time(9), 90, notes="带上次的胃镜报告。"),
    Intent(
        "p2",
        "exercise",
        "踝泵练习",
        "FREQ=DAILY;BYHOUR=9,15,20",
        time(9),
        14,
        notes="每组二十次，以不痛为度。",
        ahead=28,
    ),
    Intent(
        "p3",
        "measurement",
        "餐后两小时血糖",
        "FREQ=WEEKLY;BYDAY=TU,FR",
        time(20),
        30,
        measured="blood_glucose",
        by="d2",
    ),
    Intent("p3", "exercise", "晚饭后快走二十分钟", "FREQ=DAILY", time(19, 30), 3, by="d2"),
    Intent("p4", "medication", "基础胰岛素", "FREQ=DAILY", time(21, 30), 200, notes="换部位，推完停十秒。"),
    Intent("p5", "medication", "降压药", "FREQ=DAILY", time(6, 30), 5, notes="起床后、早饭前服用。", by="d3"),
    Intent("p5", "measurement", "早晚血压", "FREQ=DAILY;BYHOUR=7,20", time(7), 5, measured="blood_pressure", by="d3"),
    Intent("p8", "medication", "人工泪液", "FREQ=DAILY;BYHOUR=8,12,16,20", time(8), 20, ahead=30, by="p7"),
    Intent("p12", "visit", "产检", "FREQ=WEEKLY;INTERVAL=4", time(8), 56, ahead=105),
    Intent("p14", "exercise", "力量练习", "FREQ=WEEKLY;BYDAY=MO,TH", time(19), 180),
    Intent("p50", "measurement", "血氧", "FREQ=DAILY", time(7, 30), 150, measured="spo2"),
)


async def add_plans(connection: AsyncConnection, sealer: Sealer, people: Mapping[str, str], now: datetime) -> int:
    """The answer is how many."""
    plans = [plan_of(intent, people[intent.patient], people, now) for intent in INTENTS]
    for plan in plans:
        await plan_store.add(connection, await sealer.key_for(plan.user), plan)
    await make_ahead(connection, [(plan, now) for plan in plans if plan.state == "active"], now)
    return len(INTENTS)


def plan_of(intent: Intent, user: str, people: Mapping[str, str], now: datetime) -> Plan:
    """The plan that this intent becomes today."""
    today = now.astimezone(SHANGHAI).date()
    created_at = now - timedelta(days=intent.begun)
    starts_at = datetime.combine(today - timedelta(days=intent.begun), intent.at)
    until = None
    if intent.ahead is not None:
        until = datetime.combine(today + timedelta(days=intent.ahead), time(23, 59, 59), SHANGHAI)
    return Plan(
        id=id_of("plan", intent.patient, intent.title),
        user=user,
        actor=people[intent.by or intent.patient],
        kind=intent.kind,
        title=intent.title,
        notes=intent.notes,
        measurement_type=intent.measured,
        timing=timing(intent.schedule, starts_at, "Asia/Shanghai", until),
        state=intent.state,
        revision=1,
        created_at=created_at,
        updated_at=created_at,
    )
