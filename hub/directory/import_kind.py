"""The four kinds of files: their columns, what makes two rows the same thing, and what a row as a whole must fulfil."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Any, cast

from hub.directory import import_cell as cell
from hub.directory.model import Rule
from hub.directory.rule import NAME_CHARS, SHORT_CHARS, faults_of_rule

Values = Mapping[str, Any]  # Any: what the columns' readers answer
SLOT_MINUTES = 30  # where a file has no such column, or a cell is empty


@dataclass(frozen=True, slots=True)
class Column:
    """`field` names the value; a header is one of `names`, or the field in camel case. An empty cell means `empty`."""

    field: str
    names: tuple[str, ...]
    read: Callable[[str], object]
    example: str
    needed: bool = False
    empty: object = ""

    @property
    def english(self) -> str:
        head, *rest = self.field.split("_")
        return head + "".join(part.capitalize() for part in rest)


@dataclass(frozen=True, slots=True)
class Kind:
    """`key`: the fields that name one thing; a file names each thing once. `check` answers faults by camel-case field."""

    name: str
    columns: Sequence[Column]
    key: tuple[str, ...]
    check: Callable[[Values], Mapping[str, str]] = lambda _: {}


def rule_of(row: Values) -> Rule:
    starts, ends = cast("time", row["starts"]), cast("time", row["ends"])
    first, last = cast("date | None", row.get("valid_from")), cast("date | None", row.get("valid_until"))
    minutes, capacity = row.get("slot_minutes", SLOT_MINUTES), row.get("capacity", 1)
    return Rule(row["weekday"], starts, ends, minutes, capacity, first, last)


_short, _line = cell.line_of(SHORT_CHARS), cell.line_of(NAME_CHARS)
_hospital = Column("hospital_code", ("医院编码", "医院代码"), cell.code, "H001", needed=True)
_phone = Column("phone", ("手机号", "手机号码", "手机"), cell.phone, "13800138000", needed=True)
_introduction = Column("introduction", ("简介", "介绍"), cell.prose, "")
_sort_order = Column("sort_order", ("排序", "排序号"), cell.place, "1", empty=0)
_is_active = Column("is_active", ("是否启用", "启用"), cell.mark, "是", empty=True)

HOSPITALS = Kind(
    "hospitals",
    (
        Column("code", ("医院编码", "医院代码"), cell.code, "H001", needed=True),
        Column("name", ("医院名称", "名称"), _line, "北京清河医院", needed=True),
        Column("city", ("城市", "所在城市"), _short, "北京", needed=True),
        Column("district", ("区县", "区"), _short, "海淀区"),
        Column("address", ("地址",), _line, "清河路 1 号"),
        Column("level", ("等级", "医院等级"), cell.level, "三级甲等"),
        Column("phone", ("电话", "联系电话"), _short, "010-62900000"),
        _introduction,
        _is_active,
    ),
    key=("code",),
)
DEPARTMENTS = Kind(
    "departments",
    (
        _hospital,
        Column("name", ("科室名称", "科室"), _line, "心血管内科", needed=True),
        Column("category", ("类别", "科室类别"), _short, "内科"),
        Column("location", ("位置",), _line, "门诊楼 2 层"),
        _introduction,
        _sort_order,
        _is_active,
    ),
    key=("hospital_code", "name"),
)
DOCTORS = Kind(
    "doctors",
    (
        _phone,
        Column("name", ("姓名", "医生姓名"), cell.name, "王建国", needed=True),
        _hospital,
        Column("department", ("科室", "科室名称"), _line, "心血管内科", needed=True),
        Column("title", ("职称",), _short, "主任医师"),
        Column("specialties", ("擅长", "专长"), cell.specialties, "高血压、冠心病", empty=()),
        _introduction,
        Column("fee", ("挂号费", "费用"), cell.money, "50.00", empty=Decimal("0.00")),
        _sort_order,
        _is_active,
    ),
    key=("phone",),
)
SCHEDULES = Kind(
    "schedules",
    (
        _phone,
        Column("weekday", ("星期", "周几"), cell.weekday, "周一", needed=True),
        Column("starts", ("开始时间", "开始"), cell.clock, "09:00", needed=True),
        Column("ends", ("结束时间", "结束"), cell.clock, "12:00", needed=True),
        Column("slot_minutes", ("时段分钟", "每段分钟"), cell.whole, "30", empty=SLOT_MINUTES),
        Column("capacity", ("每段人数", "人数"), cell.whole, "1", empty=1),
        Column("valid_from", ("生效日期",), cell.day, "2026-01-01", empty=None),
        Column("valid_until", ("截止日期", "失效日期"), cell.day, "2026-12-31", empty=None),
    ),
    key=("phone", "weekday", "starts", "valid_from"),
    check=lambda row: faults_of_rule(rule_of(row)),
)
KINDS = {kind.name: kind for kind in (HOSPITALS, DEPARTMENTS, DOCTORS, SCHEDULES)}
