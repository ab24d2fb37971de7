"""HTTP with which staff keep hospitals, departments and doctors. Takes `directory` and `principal`."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, Meta, UnsetType

from hub.directory import edit
from hub.directory.api import City, HospitalId, Q, Services, Wanted, known
from hub.directory.model import (
    DepartmentFilter,
    DoctorFilter,
    HospitalFilter,
    Level,
)
from hub.directory.rule import (
    CODE,
    LINE,
    LINE_OR_NOTHING,
    MONEY,
    NAME_CHARS,
    PROSE,
    PROSE_CHARS,
    SHORT_CHARS,
    SORT_ORDER_MOST,
    SPECIALTIES,
    SPECIALTY_CHARS,
    money_of,
)
from hub.directory.store import DEPARTMENT_SORTS, DOCTOR_SORTS, HOSPITAL_SORTS
from hub.directory.view import (
    DepartmentRow,
    DoctorRow,
    HospitalRow,
    department_row,
    doctor_row,
    hospital_row,
)
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.page import Page
from hub.security.token import Principal

Who = NamedDependency[Principal]
Name = Annotated[str, Meta(max_length=NAME_CHARS, pattern=LINE)]
Line = Annotated[str, Meta(max_length=NAME_CHARS, pattern=LINE_OR_NOTHING)]
Short = Annotated[str, Meta(max_length=SHORT_CHARS, pattern=LINE_OR_NOTHING)]
Prose = Annotated[str, Meta(max_length=PROSE_CHARS, pattern=PROSE)]
Code = Annotated[str, Meta(pattern=CODE)]
Place = Annotated[int, Meta(ge=0, le=SORT_ORDER_MOST)]
Money = Annotated[str, Meta(pattern=MONEY)]
Id = Annotated[str, Meta(max_length=36)]
Specialties = Annotated[
    list[Annotated[str, Meta(max_length=SPECIALTY_CHARS, pattern=LINE)]], Meta(max_length=SPECIALTIES)
]


class Inbound(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A request's body; what is not named here is refused."""


class HospitalChange(Inbound, frozen=True):
    name: Name | UnsetType = UNSET
    city: Name | UnsetType = UNSET
    code: Code | UnsetType | None = UNSET
    district: Short | UnsetType = UNSET
    address: Line | UnsetType = UNSET
    level: Level | UnsetType = UNSET
    phone: Short | UnsetType = UNSET
    introduction: Prose | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class NewHospital(HospitalChange, frozen=True, kw_only=True):
    name: Name
    city: Name


class DepartmentChange(Inbound, frozen=True):
    name: Name | UnsetType = UNSET
    category: Short | UnsetType = UNSET
    location: Line | UnsetType = UNSET
    introduction: Prose | UnsetType = UNSET
    sort_order: Place | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class NewDepartment(DepartmentChange, frozen=True, kw_only=True):
    hospital_id: Id
    name: Name


class DoctorChange(Inbound, frozen=True):
    name: Name | UnsetType = UNSET
    department_id: Id | UnsetType = UNSET
    title: Short | UnsetType = UNSET
    specialties: Specialties | UnsetType = UNSET
    introduction: Prose | UnsetType = UNSET
    fee: Money | UnsetType = UNSET
    sort_order: Place | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class NewDoctor(DoctorChange, frozen=True, kw_only=True):
    """`phone`: of the account, which is made or becomes a doctor's."""

    name: Name
    department_id: Id
    phone: Annotated[str, Meta(max_length=20)]


Active = Annotated[bool | None, QueryParameter(name="isActive")]


@get("/admin/hospitals", responses=FAILURES, dependencies={"paging": paging(*HOSPITAL_SORTS, default="name")})
async def list_hospitals(
    directory: Services,
    principal: Who,
    paging: Wanted,
    city: City = None,
    q: Q = "",
    is_active: Active = None,
) -> Answer[Page[HospitalRow]]:
    """All hospitals, inactive ones included."""
    wanted = HospitalFilter(city, None, q, is_active)
    page = await edit.list_hospitals(directory, principal, wanted, paging)
    return answer(Page([hospital_row(each) for each in page.items], page.page, page.page_size, page.total))


@post("/admin/hospitals", status_code=200, responses=FAILURES)
async def add_hospital(data: JSONBody[NewHospital], directory: Services, principal: Who) -> Answer[HospitalRow]:
    """A new hospital."""
    return answer(hospital_row(await edit.add_hospital(directory, principal, given(data))))


@patch("/admin/hospitals/{hospital:str}", responses=FAILURES)
async def change_hospital(
    hospital: FromPath[str], data: JSONBody[HospitalChange], directory: Services, principal: Who
) -> Answer[HospitalRow]:
    """Change what is given; inactive ones are no longer offered."""
    return answer(hospital_row(await edit.change_hospital(directory, principal, hospital, given(data))))


@get("/admin/departments", responses=FAILURES, dependencies={"paging": paging(*DEPARTMENT_SORTS, default="sortOrder")})
async def list_departments(
    directory: Services,
    principal: Who,
    paging: Wanted,
    hospital_id: HospitalId = None,
    q: Q = "",
    is_active: Active = None,
) -> Answer[Page[DepartmentRow]]:
    """All departments, inactive ones included."""
    wanted = DepartmentFilter(known(hospital_id, "hospitalId"), q, is_active)
    page = await edit.list_departments(directory, principal, wanted, paging)
    return answer(Page([department_row(each) for each in page.items], page.page, page.page_size, page.total))


@post("/admin/departments", status_code=200, responses=FAILURES)
async def add_department(data: JSONBody[NewDepartment], directory: Services, principal: Who) -> Answer[DepartmentRow]:
    """A new department of a hospital."""
    return answer(department_row(await edit.add_department(directory, principal, given(data))))


@patch("/admin/departments/{department:str}", responses=FAILURES)
async def change_department(
    department: FromPath[str], data: JSONBody[DepartmentChange], directory: Services, principal: Who
) -> Answer[DepartmentRow]:
    """Change what is given."""
    return answer(department_row(await edit.change_department(directory, principal, department, given(data))))


@get("/admin/doctors", responses=FAILURES, dependencies={"paging": paging(*DOCTOR_SORTS, default="sortOrder")})
async def list_doctors(
    directory: Services,
    principal: Who,
    paging: Wanted,
    hospital_id: HospitalId = None,
    q: Q = "",
    is_active: Active = None,
) -> Answer[Page[DoctorRow]]:
    """All doctors with the phones of their accounts, inactive ones included."""
    wanted = DoctorFilter(known(hospital_id, "hospitalId"), q=q, is_open=False, is_active=is_active)
    page, phones = await edit.list_doctors(directory, principal, wanted, paging)
    rows: Sequence[DoctorRow] = [doctor_row(each, phones.get(each.user)) for each in page.items]
    return answer(Page(rows, page.page, page.page_size, page.total))


@post("/admin/doctors", status_code=200, responses=FAILURES)
async def add_doctor(data: JSONBody[NewDoctor], directory: Services, principal: Who) -> Answer[DoctorRow]:
    """A new doctor with the account of this phone."""
    values = given(data)
    phone = str(values.pop("phone"))
    return answer(doctor_row(await edit.add_doctor(directory, principal, phone, values), phone))


@patch("/admin/doctors/{doctor:str}", responses=FAILURES)
async def change_doctor(
    doctor: FromPath[str], data: JSONBody[DoctorChange], directory: Services, principal: Who
) -> Answer[DoctorRow]:
    """Change what is given."""
    changed = await edit.change_doctor(directory, principal, doctor, given(data))
    return answer(doctor_row(changed, await edit.phone_of(directory, changed.user)))


handlers: list[ControllerRouterHandler] = [
    list_hospitals,
    add_hospital,
    change_hospital,
    list_departments,
    add_department,
    change_department,
    list_doctors,
    add_doctor,
    change_doctor,
]


def given(data: Inbound) -> dict[str, object]:
    """The columns that a body names."""
    values: dict[str, object] = {
        name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET
    }
    if isinstance(fee := values.get("fee"), str):
        values["fee"] = money_of(fee)
    return values
