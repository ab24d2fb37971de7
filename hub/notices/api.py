"""Every HTTP handler of notices, in one list."""

from litestar.types import ControllerRouterHandler

from hub.notices import (
    address_api,
    callback_api,
    class_api,
    ledger_api,
    preference_api,
    quota_api,
    template_api,
)

handlers: list[ControllerRouterHandler] = [
    *class_api.handlers,
    *template_api.handlers,
    *preference_api.handlers,
    *address_api.handlers,
    *quota_api.handlers,
    *ledger_api.handlers,
    *callback_api.handlers,
]
