"""HTTP of what providers tell us. Takes the dependency `callbacks`. No sign-in and no wrapper: each provider has its own form of answer."""

from typing import Annotated, Any

import msgspec
from limits import RateLimitItemPerMinute
from litestar import MediaType, Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter
from litestar.types import ControllerRouterHandler, ExceptionHandlersMap

from channels.sms_receipt import TAKEN
from hub.notices.callback import SUCCESS, Callbacks, Signed
from hub.platform.http import Connection
from hub.platform.http_error import exception_handlers

# All of a provider's callbacks come from a handful of addresses, one for each message sent, so many more are let in than from a
# person: twice what `wechat_message.per_s` sends. To refuse a forged one costs 0.1 ms.
CALLBACKS_PER_ADDRESS = RateLimitItemPerMinute(60_000, namespace="provider-callback")
EVENT_BYTES = 65_536  # of some 1 KB
RECEIPTS_BYTES = 524_288  # up to a thousand receipts of some 400 bytes

Short = Annotated[str, QueryParameter(max_length=128)]


def _fail(request: Request[Any, Any, Any], error: Exception) -> Response[str]:  # Any: as in `http.Connection`
    """The same refusals as everywhere, in one word: nobody reads them but who set the provider's console up."""
    handler = next(exception_handlers[shape] for shape in type(error).__mro__ if shape in exception_handlers)
    usual: Response[Any] = handler(request, error)
    headers = {name: value for name, value in usual.headers.items() if name == "Retry-After"}
    word = usual.content.error.type
    return Response(word, status_code=usual.status_code, headers=headers, media_type=MediaType.TEXT)


_FAILING: ExceptionHandlersMap = dict.fromkeys(exception_handlers, _fail)
_REFUSALS = {
    status: ResponseSpec(str, description=description, media_type=MediaType.TEXT, generate_examples=False)
    for status, description in (
        (400, "Not what this provider sends"),
        (401, "Not signed by the provider, or too old"),
        (403, "For another receiver"),
        (404, "Not configured"),
        (413, "Too large"),
        (429, "Too many"),
        (503, "Temporarily unavailable: tell again"),
    )
}
_OPEN: dict[str, Any] = {"limit": CALLBACKS_PER_ADDRESS}  # Any: Litestar's `opt`


def _signed(
    signature: Short = "",
    msg_signature: Short = "",
    timestamp: Short = "",
    nonce: Short = "",
    echostr: Annotated[str, QueryParameter(max_length=4096)] = "",
) -> Signed:
    """The dependency `signed`."""
    return Signed(signature=signature, msg_signature=msg_signature, timestamp=timestamp, nonce=nonce, echostr=echostr)


_SIGNED = {"signed": Provide(_signed, sync_to_thread=False)}


class Taken(msgspec.Struct, frozen=True, omit_defaults=True):
    """What Aliyun (`code`, `msg`) or Tencent (`result`, `errmsg`) wants to hear."""

    code: int | None = None
    msg: str | None = None
    result: int | None = None
    errmsg: str | None = None


@get(
    "/callbacks/wechat",
    opt=_OPEN,
    media_type=MediaType.TEXT,
    dependencies=_SIGNED,
    responses=_REFUSALS,
    exception_handlers=_FAILING,
)
async def prove_wechat(signed: NamedDependency[Signed], callbacks: NamedDependency[Callbacks]) -> str:
    """WeChat's console asks whether the address is ours; the answer is `echostr`."""
    return callbacks.prove_wechat(signed).decode()


@post(
    "/callbacks/wechat",
    status_code=200,
    opt=_OPEN,
    media_type=MediaType.TEXT,
    dependencies=_SIGNED,
    responses=_REFUSALS,
    exception_handlers=_FAILING,
    request_max_body_size=EVENT_BYTES,
)
async def tell_wechat(
    request: Connection, signed: NamedDependency[Signed], callbacks: NamedDependency[Callbacks]
) -> str:
    """WeChat tells of subscribe messages; the answer is `success`."""
    return (await callbacks.told_by_wechat(signed, await request.body())).decode()


@get(
    "/callbacks/wecom",
    opt=_OPEN,
    media_type=MediaType.TEXT,
    dependencies=_SIGNED,
    responses=_REFUSALS,
    exception_handlers=_FAILING,
)
async def prove_wecom(signed: NamedDependency[Signed], callbacks: NamedDependency[Callbacks]) -> str:
    """WeCom's console asks whether the address is ours; the answer is what was sealed in `echostr`."""
    return callbacks.prove_wecom(signed).decode()


@post(
    "/callbacks/wecom",
    status_code=200,
    opt=_OPEN,
    media_type=MediaType.TEXT,
    dependencies=_SIGNED,
    responses=_REFUSALS,
    exception_handlers=_FAILING,
    request_max_body_size=EVENT_BYTES,
)
async def tell_wecom(
    request: Connection, signed: NamedDependency[Signed], callbacks: NamedDependency[Callbacks]
) -> Response[str]:
    """WeCom tells of a pressed button; the answer makes it grey, or is `success`."""
    said = await callbacks.told_by_wecom(signed, await request.body())
    return Response(said.decode(), media_type=MediaType.TEXT if said == SUCCESS else MediaType.XML)


@post(
    "/callbacks/sms/{provider:str}/{token:str}",
    status_code=200,
    opt=_OPEN,
    responses=_REFUSALS,
    exception_handlers=_FAILING,
    request_max_body_size=RECEIPTS_BYTES,
)
async def tell_sms(
    request: Connection, provider: FromPath[str], token: FromPath[str], callbacks: NamedDependency[Callbacks]
) -> Taken:
    """Aliyun (`aliyun`) or Tencent (`tencent`) tells what became of text messages. `token`: see `hub doctor`."""
    callbacks.admit_sms(provider, token)
    await callbacks.told_by_sms(provider, await request.body())
    return msgspec.json.decode(TAKEN[provider], type=Taken)


handlers: list[ControllerRouterHandler] = [prove_wechat, tell_wechat, prove_wecom, tell_wecom, tell_sms]
