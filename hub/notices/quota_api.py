"""HTTP of what a person agreed to be sent by WeChat. Takes the dependencies `wechat_subscriptions` and `principal`.

Reading only: agreeing is between the person and WeChat, which tells us (`callback_api`).
"""

from collections.abc import Sequence

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.types import ControllerRouterHandler

from hub.notices.quota import WechatSubscriptions
from hub.platform.http import FAILURES, Answer, answer
from hub.security.token import Principal


class SubscriptionView(msgspec.Struct, frozen=True, rename="camel"):
    """`templateId` is for `wx.requestSubscribeMessage`, which takes three at once, and long-term ones apart from the others."""

    template: str
    template_id: str
    remaining: int
    long_term: bool


class SubscriptionsView(msgspec.Struct, frozen=True):
    templates: Sequence[SubscriptionView]


@get("/users/me/wechat-subscriptions", responses=FAILURES)
async def show_subscriptions(
    principal: NamedDependency[Principal], wechat_subscriptions: NamedDependency[WechatSubscriptions]
) -> Answer[SubscriptionsView]:
    """How many messages of each template one still agreed to; of a long-term one, whether any (more than 0)."""
    found = await wechat_subscriptions.read(principal)
    views = [SubscriptionView(each.code, each.template_id, each.remaining, each.long_term) for each in found]
    return answer(SubscriptionsView(views))


handlers: list[ControllerRouterHandler] = [show_subscriptions]
