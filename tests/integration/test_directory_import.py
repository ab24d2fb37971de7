"""Files over HTTP: all of a file or nothing, the same file twice changes nothing, and what is wrong has its line."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from hub.directory import import_store, upload
from hub.directory.import_actions import Importer
from hub.directory.import_kind import HOSPITALS
from hub.platform.database import Database
from hub.platform.error import Refusal
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub, open_core

CSV = {"Content-Type": "text/csv"}


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def staff(hub: CoreHub) -> Caller:
    return await hub.person("staff")


@pytest.fixture
def code() -> str:
    return f"H{new_id()[-10:]}"


def phones(many: int) -> list[str]:
    return [f"137{int(new_id()[-7:], 16) % 10**8:08d}" for _ in range(many)]


async def send(hub: CoreHub, staff: Caller, kind: str, content: str | bytes, status: int = 200, query: str = "") -> Any:
    body = content.encode() if isinstance(content, str) else content
    return await hub.call(staff, "POST", f"/admin/import/{kind}{query}", status, content=body, headers=CSV)


async def place(hub: CoreHub, staff: Caller, code: str, *departments: str) -> None:
    """A hospital with these departments, from files."""
    await send(hub, staff, "hospitals", f"医院编码,医院名称,城市\n{code},清河医院,北京\n")
    await send(hub, staff, "departments", "医院编码,科室名称\n" + "".join(f"{code},{each}\n" for each in departments))


async def count(hub: CoreHub, table: str) -> int:
    async with hub.ground.database.transaction() as connection:
        return int(await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)  # noqa: S608 - a name of ours


def counts(report: dict[str, Any]) -> list[int]:
    return [report[name] for name in ("rows", "created", "changed", "unchanged", "removed")]


async def test_hospitals_are_created_changed_and_left_alone(hub: CoreHub, staff: Caller, code: str) -> None:
    """By their code; the report has exactly its fields, and the same file twice changes nothing."""
    header = "医院编码,医院名称,城市,等级,是否启用\n"
    first = await send(hub, staff, "hospitals", f"{header}{code}a,甲,北京,三甲,是\n{code}b,乙,上海,,否\n")
    again = await send(hub, staff, "hospitals", f"{header}{code}a,甲,北京,三甲,是\n{code}b,乙,上海,,否\n")
    other = await send(hub, staff, "hospitals", f"{header}{code}a,甲改,北京,三甲,是\n{code}c,丙,广州,,\n")

    assert first == {
        "imported": True,
        "dryRun": False,
        "rows": 2,
        "created": 2,
        "changed": 0,
        "unchanged": 0,
        "removed": 0,
        "errorTotal": 0,
        "errors": [],
    }
    assert counts(again) == [2, 0, 0, 2, 0]
    assert counts(other) == [2, 1, 1, 0, 0]
    found = (await hub.call(staff, "GET", "/admin/hospitals?q=甲改&sort=-createdAt"))["items"]
    assert [(each["code"], each["level"], each["isActive"]) for each in found] == [(f"{code}a", "三级甲等", True)]


async def test_column_that_a_file_lacks_is_left_as_it_was(hub: CoreHub, staff: Caller, code: str) -> None:
    """A list of names does not wipe out addresses; an empty cell does."""
    await send(hub, staff, "hospitals", f"code,name,city,address,district\n{code},甲,北京,清河路 1 号,海淀区\n")
    await send(hub, staff, "hospitals", f"code,name,city,district\n{code},甲,北京,\n")
    found = (await hub.call(staff, "GET", "/admin/hospitals?q=甲&sort=-createdAt"))["items"][0]

    assert (found["code"], found["address"], found["district"]) == (code, "清河路 1 号", "")


async def test_import_is_seen_at_once(hub: CoreHub, staff: Caller, code: str) -> None:
    """A kept copy of a list is gone with the commit."""
    city = f"城{code[-6:]}"
    assert (await hub.call(staff, "GET", f"/hospitals?city={city}"))["total"] == 0
    await send(hub, staff, "hospitals", f"医院编码,医院名称,城市\n{code},清河医院,{city}\n")

    assert (await hub.call(staff, "GET", f"/hospitals?city={city}"))["total"] == 1


async def test_one_error_and_nothing_is_imported(hub: CoreHub, staff: Caller, code: str) -> None:
    """Of any line, in any batch; the errors name line, column, value and reason, in the language that was asked for."""
    before = await count(hub, "hospitals")
    lines = [f"{code}{n},医院{n},北京" for n in range(2500)]
    lines[2400] = "坏 码,医院,北京"
    body = ("医院编码,医院名称,城市\n" + "\n".join(lines)).encode()
    report = await send(hub, staff, "hospitals", body)
    english = await hub.call(
        staff, "POST", "/admin/import/hospitals", content=body, headers=CSV | {"Accept-Language": "en"}
    )

    assert (report["imported"], counts(report)) == (False, [2500, 0, 0, 0, 0])
    assert report["errors"] == [
        {"line": 2402, "column": "医院编码", "value": "坏 码", "reason": "编码应为 1 至 32 个字母、数字或 . _ -"}
    ]
    assert english["errors"][0]["reason"].startswith("A code has")
    assert await count(hub, "hospitals") == before


async def test_dry_run_counts_and_saves_nothing(hub: CoreHub, staff: Caller, code: str) -> None:
    """Accounts included, which a file of doctors would make."""
    await place(hub, staff, code, "内科")
    before = [await count(hub, table) for table in ("doctors", "users")]
    file = f"手机号,姓名,医院编码,科室\n{phones(1)[0]},王建国,{code},内科\n"
    report = await send(hub, staff, "doctors", file, query="?dryRun=true")

    assert (report["imported"], report["dryRun"], report["created"]) == (False, True, 1)
    assert [await count(hub, table) for table in ("doctors", "users")] == before
    assert (await send(hub, staff, "doctors", file))["imported"]


async def test_doctors_get_accounts_and_entries(hub: CoreHub, staff: Caller, code: str) -> None:
    """A new phone becomes an account, a patient becomes a doctor; the same file again changes nothing."""
    await place(hub, staff, code, "内科", "外科")
    new, patient = phones(1)[0], await hub.person("patient", "李秀兰")
    header = "手机号,姓名,医院编码,科室,职称,擅长,挂号费\n"
    file = (
        f"{header}{new},王建国,{code},内科,主任医师,高血压、冠心病,50\n{patient.phone},李秀兰,{code},外科,主治医师,,\n"
    )
    first, again = await send(hub, staff, "doctors", file), await send(hub, staff, "doctors", file)
    hospital = (await hub.call(staff, "GET", "/hospitals?q=清河医院&sort=-createdAt"))["items"][0]["id"]
    found = (await hub.call(staff, "GET", f"/admin/doctors?hospitalId={hospital}&sort=fee"))["items"]

    assert (counts(first), counts(again)) == ([2, 2, 0, 0, 0], [2, 0, 0, 2, 0])
    assert [(each["phone"], each["fee"], each["specialties"]) for each in found] == [
        (patient.phone, "0.00", []),
        (new, "50.00", ["高血压", "冠心病"]),
    ]
    assert found[0]["userId"] == patient.id


async def test_doctors_of_unknown_places_and_other_roles_are_refused(hub: CoreHub, staff: Caller, code: str) -> None:
    """Nobody who is staff or a companion becomes a doctor by a file."""
    await place(hub, staff, code, "内科")
    ok, companion = phones(1)[0], await hub.person("companion")
    report = await send(
        hub,
        staff,
        "doctors",
        f"手机号,姓名,医院编码,科室\n{ok},王,{code},内科\n{phones(1)[0]},李,{code},骨科\n"
        f"{phones(1)[0]},赵,NONE,内科\n{companion.phone},钱,{code},内科\n{staff.phone},孙,{code},内科\n",
    )

    assert [(each["line"], each["column"], each["reason"]) for each in report["errors"]] == [
        (3, "科室", "没有这个科室"),
        (4, "医院编码", "没有这家医院"),
        (5, "手机号", "该手机号属于其他角色的账号"),
        (6, "手机号", "该手机号属于其他角色的账号"),
    ]
    assert (await hub.call(companion, "GET", "/users/me"))["role"] == "companion"
    async with hub.ground.database.transaction() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM users WHERE phone = :phone"), {"phone": ok}) == 0


async def test_departments_of_an_unknown_hospital_are_refused(hub: CoreHub, staff: Caller, code: str) -> None:
    """With the line and the code."""
    report = await send(hub, staff, "departments", f"医院编码,科室名称\n{code},内科\n")

    assert report["errors"] == [{"line": 2, "column": "医院编码", "value": code, "reason": "没有这家医院"}]


async def doctors(hub: CoreHub, staff: Caller, code: str, many: int) -> list[str]:
    await place(hub, staff, code, "内科")
    named = phones(many)
    rows = "".join(f"{each},王建国,{code},内科\n" for each in named)
    assert (await send(hub, staff, "doctors", f"手机号,姓名,医院编码,科室\n{rows}"))["created"] == many
    return named


async def test_schedules_of_a_file_replace_those_of_its_people(hub: CoreHub, staff: Caller, code: str) -> None:
    """The whole weekly set of each, wherever its lines stand; nobody else's; and who keeps bookings is told once."""
    one, two, three = await doctors(hub, staff, code, 3)
    header = "手机号,星期,开始时间,结束时间,时段分钟,每段人数\n"
    everybody = "".join(f"{each},周一,09:00,12:00,30,2\n" for each in (one, two, three))
    assert counts(await send(hub, staff, "schedules", header + everybody)) == [3, 3, 0, 0, 0]
    await hub.ground.outbox.drain()
    assert counts(await send(hub, staff, "schedules", header + everybody)) == [3, 0, 0, 3, 0]
    changed = f"{one},周一,09:00,12:00,30,2\n{two},周三,14:00,17:00,20,1\n{one},周二,09:00,12:00,30,2\n"
    report = await send(hub, staff, "schedules", header + changed)
    async with hub.ground.database.transaction() as connection:
        waiting = text("SELECT kind, payload->>'day' FROM events WHERE done_at IS NULL ORDER BY number")
        events = [tuple(row) for row in await connection.execute(waiting)]

    assert counts(report) == [3, 2, 0, 1, 1]
    assert events == [("ScheduleChanged", None)] * 2
    listed = (await hub.call(staff, "GET", "/admin/doctors?q=王建国&sort=-createdAt&pageSize=3"))["items"]
    by_phone = {each["phone"]: each for each in listed}
    monday = date(2026, 11, 23) + timedelta(weeks=2)
    for phone, works in ((one, [1, 2]), (two, [3]), (three, [1])):
        days = await hub.call(staff, "GET", f"/doctors/{by_phone[phone]['id']}/schedule?from={monday}&days=7")
        assert [each["weekday"] for each in days["items"] if each["windows"]] == works


async def test_schedules_that_cannot_be_are_refused(hub: CoreHub, staff: Caller, code: str) -> None:
    """Overlapping lines name each other; a patient has no working hours."""
    (one,), patient = await doctors(hub, staff, code, 1), await hub.person()
    header = "手机号,星期,开始时间,结束时间,时段分钟,每段人数\n"
    overlapping = f"{one},周一,09:00,12:00,30,1\n{one},周二,09:00,12:00,30,1\n{one},周一,11:00,13:00,30,1\n"
    report = await send(hub, staff, "schedules", header + overlapping)
    stranger = await send(hub, staff, "schedules", f"{header}{patient.phone},周一,09:00,12:00,30,1\n")

    assert [(each["line"], each["column"], each["reason"]) for each in report["errors"]] == [
        (4, "开始时间", "与第 2 行的时间重叠")
    ]
    assert [(each["line"], each["value"]) for each in stranger["errors"]] == [(2, patient.phone)]


async def test_closing_a_hospital_by_a_file_tells_who_keeps_bookings(hub: CoreHub, staff: Caller, code: str) -> None:
    """Its doctors no longer work, and what is booked with them must be looked at."""
    await doctors(hub, staff, code, 2)
    await hub.ground.outbox.drain()
    await send(hub, staff, "hospitals", f"医院编码,医院名称,城市,是否启用\n{code},清河医院,北京,否\n")
    async with hub.ground.database.transaction() as connection:
        waiting = await connection.scalar(text("SELECT count(*) FROM events WHERE done_at IS NULL"))

    hospitals = (await hub.call(staff, "GET", "/admin/hospitals?isActive=false&sort=-createdAt"))["items"]
    hospital = next(each["id"] for each in hospitals if each["code"] == code)

    assert waiting == 2
    assert (await hub.call(staff, "GET", f"/admin/doctors?hospitalId={hospital}"))["total"] == 2
    assert (await hub.call(staff, "GET", f"/doctors?hospitalId={hospital}"))["total"] == 0


async def test_file_may_come_in_a_form_and_in_gb18030(hub: CoreHub, staff: Caller, code: str) -> None:
    """As a browser sends what Excel in China saved."""
    content = f"医院编码,医院名称,城市\r\n{code},北京清河医院,北京\r\n".encode("gb18030")
    files = {"file": ("医院.csv", content, "application/vnd.ms-excel")}
    report = await hub.call(staff, "POST", "/admin/import/hospitals", files=files)

    assert report["created"] == 1
    found = (await hub.call(staff, "GET", "/admin/hospitals?sort=-createdAt&q=北京清河"))["items"]
    assert code in [each["code"] for each in found]


async def test_text_of_a_file_is_data(hub: CoreHub, staff: Caller, code: str) -> None:
    """Quotes, emoji, formulas and other people's SQL are kept as they are."""
    name = "=1+1'); DROP TABLE hospitals;-- 😀\u202e"
    await send(hub, staff, "hospitals", f'医院编码,医院名称,城市\n{code},"{name}",北京\n')
    found = (await hub.call(staff, "GET", "/admin/hospitals", params={"q": name}))["items"]

    assert [each["name"] for each in found] == [name]


@pytest.mark.parametrize(
    ("request_", "status", "field"),
    [
        ({"content": b"PK\x03\x04xxxx", "headers": CSV}, 400, "file"),
        ({"content": b"{}", "headers": {"Content-Type": "application/json"}}, 415, "Content-Type"),
        ({"files": {"other": ("a.csv", b"a", "text/csv")}}, 400, "other"),
        ({"files": [("file", ("a", b"a")), ("file", ("b", b"b"))]}, 400, "file"),
        ({"content": b"x" * (upload.MAX_BYTES + 1), "headers": CSV}, 413, "file"),
        ({"files": {"file": ("a.csv", b"x" * (upload.MAX_BYTES + 1))}}, 413, "file"),
        ({"content": b"x" * (upload.MAX_BYTES * 2), "headers": CSV}, 413, "file"),
        ({"content": b"--x\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400, None),
        ({"content": b"--x--", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400, None),
    ],
    ids=["xlsx", "json", "other field", "two files", "large", "large form", "very large", "broken form", "empty form"],
)
async def test_what_is_no_file_is_refused(
    hub: CoreHub, staff: Caller, request_: dict[str, Any], status: int, field: str | None
) -> None:
    """Naming what is wrong; and the next file is taken."""
    error = await hub.call(staff, "POST", "/admin/import/hospitals", status, **request_)

    assert field is None or list(error["fields"]) == [field]
    assert (await send(hub, staff, "hospitals", ""))["errors"][0]["reason"] == "文件中没有数据"


async def test_unknown_kind_is_not_found(hub: CoreHub, staff: Caller) -> None:
    """There are four."""
    await send(hub, staff, "patients", "a", 404)
    await hub.call(staff, "GET", "/admin/import/patients/template", 404)


@pytest.mark.parametrize("role", ["patient", "companion", "doctor"])
async def test_only_staff_import(hub: CoreHub, role: str) -> None:
    """Templates included."""
    who = await hub.person(role)
    await send(hub, who, "hospitals", "医院编码,医院名称,城市\n", 403)
    await hub.call(who, "GET", "/admin/import/hospitals/template", 403)


async def test_template_is_a_file_to_fill_in(hub: CoreHub, staff: Caller) -> None:
    """With a name, and the mark that Excel needs; sent back it is sound."""
    path = "/api/v1/admin/import/hospitals/template"
    response = await hub.client.get(path, headers={"Authorization": f"Bearer {staff.token}"})
    report = await send(hub, staff, "hospitals", response.content, query="?dryRun=true")

    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="hospitals.csv"'
    assert response.content.startswith("\ufeff医院编码,".encode())
    assert (report["rows"], report["errorTotal"]) == (1, 0)


async def test_second_file_at_the_same_time_waits_outside(hub: CoreHub, staff: Caller) -> None:
    """One at a time in a process, so that memory is bounded: the other is told when to come back."""
    importer: Importer = hub.parts["importer"]
    with importer.turn():
        response = await hub.client.post(
            "/api/v1/admin/import/hospitals", content=b"a", headers=CSV | {"Authorization": f"Bearer {staff.token}"}
        )

    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    await send(hub, staff, "hospitals", "")


async def test_files_on_two_nodes_do_not_meet(hub: CoreHub, code: str) -> None:
    """The second is refused as a conflict before it has changed anything; afterwards it is taken."""
    importer = Importer(hub.parts["directory"])
    content = f"医院编码,医院名称,城市\n{code},甲,北京\n".encode()
    async with hub.ground.database.transaction() as elsewhere:
        assert await import_store.begin(elsewhere)
        with pytest.raises(Refusal) as refused:
            await importer.run(HOSPITALS, content)

    assert refused.value.code == "conflict"
    assert (await importer.run(HOSPITALS, content)).created == 1
