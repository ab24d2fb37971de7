"""HTTP of the directory: what signed-in people read. Takes the dependencies `directory` and, for the others, `principal`."""

from datetime import date
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, SkipValidation
from litestar.types import ControllerRouterHandler

from hub.directory import actions
from hub.directory.actions import Directory
from hub.directory.model import DepartmentFilter, DoctorFilter, HospitalFilter, Level
from hub.directory.rule import LINE, LINE_OR_NOTHING, NAME_CHARS, SHORT_CHARS, day_of
from hub.directory.store import DEPARTMENT_SORTS, DOCTOR_SORTS, HOSPITAL_SORTS
from hub.directory.view import (
    DayView,
    DepartmentView,
    DoctorView,
    HospitalView,
    day_view,
    department_view,
    doctor_view,
    hospital_view,
)
from hub.platform.error import ErrorCode, Refusal
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.identifier import is_id
from hub.platform.page import Page, Paging

SCHEDULE_DAYS = 31

Services = NamedDependency[SkipValidation[Directory]]
Wanted = NamedDependency[Paging]
City = Annotated[str | None, QueryParameter(name="city", min_length=1, max_length=SHORT_CHARS, pattern=LINE)]
Q = Annotated[str, QueryParameter(name="q", max_length=SHORT_CHARS, pattern=LINE_OR_NOTHING)]
HospitalLevel = Annotated[Level | None, QueryParameter(name="level")]
# Read by hand: `from` cannot be the name of a parameter in Python, and a refusal must say it.
From = Annotated[str | None, QueryParameter(name="from", format="date", description="Default: today in Asia/Shanghai")]
HospitalId = Annotated[str | None, QueryParameter(name="hospitalId", max_length=36)]
DepartmentOrName = Annotated[
    str | None, QueryParameter(name="department", min_length=1, max_length=NAME_CHARS, pattern=LINE)
]


@get("/hospitals", responses=FAILURES, dependencies={"paging": paging(*HOSPITAL_SORTS, default="name")})
async def list_hospitals(
    paging: Wanted, directory: Services, city: City = None, q: Q = "", level: HospitalLevel = None
) -> Answer[Page[HospitalView]]:
    """The hospitals of a city or of a level, or whose name holds `q`."""
    page = await actions.list_hospitals(directory, HospitalFilter(city, level, q), paging)
    return answer(Page([hospital_view(each) for each in page.items], page.page, page.page_size, page.total))


@get("/hospitals/{hospital:str}", responses=FAILURES)
async def show_hospital(hospital: FromPath[str], directory: Services) -> Answer[HospitalView]:
    """One hospital."""
    return answer(hospital_view(await actions.show_hospital(directory, hospital)))


@get(
    "/hospitals/{hospital:str}/departments",
    responses=FAILURES,
    dependencies={"paging": paging(*DEPARTMENT_SORTS, default="sortOrder")},
)
async def list_departments(
    hospital: FromPath[str], paging: Wanted, directory: Services, q: Q = ""
) -> Answer[Page[DepartmentView]]:
    """The departments of a hospital, or those whose name or category holds `q`."""
    page = await actions.list_departments(directory, DepartmentFilter(hospital, q), paging)
    return answer(Page([department_view(each) for each in page.items], page.page, page.page_size, page.total))


@get("/doctors", responses=FAILURES, dependencies={"paging": paging(*DOCTOR_SORTS, default="sortOrder")})
async def list_doctors(
    paging: Wanted,
    directory: Services,
    hospital_id: HospitalId = None,
    department: DepartmentOrName = None,
    city: City = None,
    q: Q = "",
) -> Answer[Page[DoctorView]]:
    """The doctors of a hospital, a department (id or name) or a city, or whose name, title, specialties or department hold `q`."""
    wanted = DoctorFilter(known(hospital_id, "hospitalId"), department, city, q)
    page = await actions.list_doctors(directory, wanted, paging)
    return answer(Page([doctor_view(each) for each in page.items], page.page, page.page_size, page.total))


@get("/doctors/{doctor:str}", responses=FAILURES)
async def show_doctor(doctor: FromPath[str], directory: Services) -> Answer[DoctorView]:
    """One doctor."""
    return answer(doctor_view(await actions.show_doctor(directory, doctor)))


@get("/doctors/{doctor:str}/schedule", responses=FAILURES)
async def show_schedule(
    doctor: FromPath[str],
    directory: Services,
    first: From = None,
    days: Annotated[int, QueryParameter(name="days", ge=1, le=SCHEDULE_DAYS)] = 7,
) -> Answer[Page[DayView]]:
    """What a doctor offers on each of these days: one page, one item a day. Whether a slot is taken, orders know."""
    schedule = await actions.doctor_schedule(directory, doctor, None if first is None else _day(first), days)
    found = [day_view(each) for each in schedule]
    return answer(Page(found, 1, days, len(found)))


def known(row: str | None, field: str) -> str | None:
    """An id in a query that can name nothing is a fault of the request."""
    if row is not None and not is_id(row):
        raise Refusal(ErrorCode.INVALID, fields={field: "id_invalid"})
    return row


def _day(written: str) -> date:
    day = day_of(written)
    if day is None:
        raise Refusal(ErrorCode.INVALID, fields={"from": "date_invalid"})
    return day


handlers: list[ControllerRouterHandler] = [
    list_hospitals,
    show_hospital,
    list_departments,
    list_doctors,
    show_doctor,
    show_schedule,
]
