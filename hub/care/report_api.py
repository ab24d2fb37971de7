"""HTTP of health reports. Takes the dependencies `principal` and `health_reports`."""

from typing import Annotated

import msgspec
from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.accounts.api import NO_STORE
from hub.care.report_actions import HealthReports, Made
from hub.care.report_page import HEADERS, page
from hub.care.report_store import REPORT_SORTS, Entry
from hub.care.report_view import ReportView, report_view
from hub.care.trend import Period
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, Connection, answer, context_of, paging
from hub.platform.page import Page, Paging
from hub.security.token import Principal


class ReportBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    period: Period
    user_id: Annotated[str, Meta(max_length=36)] | None = None


class ReportEntryView(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    user_id: str
    period: Period
    generated_at: str


@post("/health/reports", status_code=200, responses=FAILURES, cache_control=NO_STORE)
async def make_report(
    data: JSONBody[ReportBody],
    request: Connection,
    principal: NamedDependency[Principal],
    health_reports: NamedDependency[HealthReports],
) -> Answer[ReportView]:
    """Make and keep a report on the days up to today."""
    return answer(_view(await health_reports.make(principal, data.user_id, data.period), request))


@get("/health/reports", responses=FAILURES, dependencies={"paging": paging(*REPORT_SORTS)}, cache_control=NO_STORE)
async def list_reports(
    paging: NamedDependency[Paging],
    principal: NamedDependency[Principal],
    health_reports: NamedDependency[HealthReports],
    user_id: Annotated[str | None, QueryParameter(name="userId", max_length=36)] = None,
) -> Answer[Page[ReportEntryView]]:
    """The reports that were made; what they say is behind each."""
    found = await health_reports.list(principal, user_id, paging)
    return answer(Page([_entry(each) for each in found.items], found.page, found.page_size, found.total))


@get("/health/reports/{report:str}", responses=FAILURES, cache_control=NO_STORE)
async def show_report(
    report: FromPath[str],
    request: Connection,
    principal: NamedDependency[Principal],
    health_reports: NamedDependency[HealthReports],
) -> Answer[ReportView]:
    """One report, as it was made."""
    return answer(_view(await health_reports.show(principal, report), request))


@get("/health/reports/{report:str}/page", responses=FAILURES, cache_control=NO_STORE, media_type=MediaType.HTML)
async def print_report(
    report: FromPath[str], principal: NamedDependency[Principal], health_reports: NamedDependency[HealthReports]
) -> Response[str]:
    """The report as a page to print, in Chinese; everything it needs is in it."""
    made, name = await health_reports.print(principal, report)
    return Response(page(made.report, name, made.entry.created_at), headers=HEADERS, media_type=MediaType.HTML)


handlers: list[ControllerRouterHandler] = [make_report, list_reports, show_report, print_report]


def _view(made: Made, request: Connection) -> ReportView:
    entry, language = made.entry, context_of(request.scope).language
    return report_view(entry.id, entry.user, rfc3339(entry.created_at), made.report, language)


def _entry(entry: Entry) -> ReportEntryView:
    return ReportEntryView(entry.id, entry.user, entry.period, rfc3339(entry.created_at))
