"""HTTP of classes of notices, under /admin. Takes the dependencies `notice_classes` and `principal`."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.notices.class_actions import NoticeClasses
from hub.notices.class_rule import HeldClass
from hub.notices.notice_class import CLASSES, LONGEST_S, Lane, NoticeClass, Quiet, Step, Wait
from hub.notices.template import CODE
from hub.platform.http import FAILURES, Answer, answer
from hub.security.token import Principal

Title = Annotated[str, Meta(min_length=1, max_length=50)]


class ClassWanted(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All of a class: nothing may be left out. `version` is that of what is replaced."""

    version: Annotated[int, Meta(ge=0)]
    title_zh: Title
    title_en: Title
    lane: Lane
    grace_s: Wait
    ladder: Annotated[list[Step], Meta(max_length=10)]
    quiet: Quiet
    digest_s: Wait
    expires_s: Annotated[int, Meta(ge=60, le=LONGEST_S)]
    consent: Literal["marketing"] | None
    mandatory: bool
    template: Annotated[str, Meta(pattern=CODE)]


class ClassView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A class as it holds; `changed`: it is not what the code has."""

    code: str
    version: int
    changed: bool
    title_zh: str
    title_en: str
    lane: Lane
    grace_s: int
    ladder: Sequence[Step]
    quiet: Quiet
    digest_s: int
    expires_s: int
    consent: str | None
    mandatory: bool
    template: str


@get("/admin/notice-classes", responses=FAILURES)
async def list_classes(
    principal: NamedDependency[Principal], notice_classes: NamedDependency[NoticeClasses]
) -> Answer[list[ClassView]]:
    """Every class as it holds. For staff and admins."""
    return answer([_view(each) for each in await notice_classes.list(principal)])


@get("/admin/notice-classes/{code:str}", responses=FAILURES)
async def show_class(
    code: FromPath[str], principal: NamedDependency[Principal], notice_classes: NamedDependency[NoticeClasses]
) -> Answer[ClassView]:
    """One class. For staff and admins."""
    return answer(_view(await notice_classes.show(principal, code)))


@put("/admin/notice-classes/{code:str}", responses=FAILURES)
async def replace_class(
    code: FromPath[str],
    data: JSONBody[ClassWanted],
    principal: NamedDependency[Principal],
    notice_classes: NamedDependency[NoticeClasses],
) -> Answer[ClassView]:
    """Change a class. For admins; holds everywhere after some seconds, also for notices that wait."""
    fields = {name: getattr(data, name) for name in ClassWanted.__struct_fields__ if name != "version"}
    return answer(_view(await notice_classes.replace(principal, NoticeClass(code=code, **fields), data.version)))


@delete("/admin/notice-classes/{code:str}", status_code=200, responses=FAILURES)
async def reset_class(
    code: FromPath[str], principal: NamedDependency[Principal], notice_classes: NamedDependency[NoticeClasses]
) -> Answer[ClassView]:
    """Back to what the code has. For admins."""
    return answer(_view(await notice_classes.reset(principal, code)))


handlers: list[ControllerRouterHandler] = [list_classes, show_class, replace_class, reset_class]


def _view(held: HeldClass) -> ClassView:
    fields = {name: getattr(held.value, name) for name in NoticeClass.__struct_fields__}
    return ClassView(version=held.version, changed=held.value != CLASSES[held.value.code], **fields)
