"""HTTP of imports: staff send a CSV file, and get its template. Takes `importer` and `principal`."""

import csv
import io
from dataclasses import dataclass
from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, QueryParameter, SkipValidation
from litestar.types import ControllerRouterHandler

from hub.directory.edit import permit_staff
from hub.directory.edit_api import Who
from hub.directory.import_actions import Importer
from hub.directory.import_kind import KINDS, Kind
from hub.directory.import_report import Report
from hub.directory.upload import FORM_BYTES, MAX_BYTES, read_file
from hub.platform.error import ErrorCode, Refusal
from hub.platform.http import FAILURES, Answer, Connection, Failure, answer, context_of

UPLOAD_FAILURES = FAILURES | {
    status: ResponseSpec(data_container=Failure, description=description, generate_examples=False)
    for status, description in ((413, "The file is too large"), (415, "Neither a form nor a CSV file"))
}


@dataclass
class UploadOperation(Operation):
    """The body is read by hand, so OpenAPI is told of it by hand."""

    def __post_init__(self) -> None:
        file = Schema(type=OpenAPIType.STRING)
        form = Schema(type=OpenAPIType.OBJECT, required=["file"], properties={"file": file})
        bodies = {"multipart/form-data": OpenAPIMediaType(schema=form), "text/csv": OpenAPIMediaType(schema=file)}
        self.request_body = RequestBody(content=bodies, required=True)


@post(
    "/admin/import/{kind:str}",
    status_code=200,
    operation_class=UploadOperation,
    request_max_body_size=MAX_BYTES + FORM_BYTES,
    responses=UPLOAD_FAILURES,
)
async def import_file(
    kind: FromPath[str],
    request: Connection,
    principal: Who,
    importer: NamedDependency[SkipValidation[Importer]],
    dry_run: Annotated[bool, QueryParameter(name="dryRun")] = False,
) -> Answer[Report]:
    """Import hospitals, departments, doctors or schedules: all lines of the file, or none and the errors."""
    permit_staff(principal)
    wanted = _kind(kind)
    with importer.turn():
        content = await read_file(request)
        language = context_of(request.scope).language
        return answer(await importer.run(wanted, content, dry_run=dry_run, language=language))


@get("/admin/import/{kind:str}/template", media_type="text/csv", responses=FAILURES)
async def template(kind: FromPath[str], principal: Who) -> Response[bytes]:
    """A file with the headers and one line as an example, for a spreadsheet."""
    permit_staff(principal)
    wanted = _kind(kind)
    headers = {"Content-Disposition": f'attachment; filename="{wanted.name}.csv"', "X-Content-Type-Options": "nosniff"}
    return Response(template_of(wanted), media_type="text/csv", headers=headers)


handlers: list[ControllerRouterHandler] = [import_file, template]


def template_of(kind: Kind) -> bytes:
    written = io.StringIO()
    lines = csv.writer(written)
    lines.writerow(column.names[0] for column in kind.columns)
    lines.writerow(column.example for column in kind.columns)
    return written.getvalue().encode("utf-8-sig")  # with a byte order mark, or Excel takes it for the local encoding


def _kind(name: str) -> Kind:
    kind = KINDS.get(name)
    if kind is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    return kind
