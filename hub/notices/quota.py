"""How many WeChat messages a person agreed to: what the events make of the count, and what the mini-program may ask for next.

WeChat has no way to ask, so its events are the only truth; what a client says of `wx.requestSubscribeMessage` is not believed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from channels.wechat_event import Accepted, Rejected
from hub.notices import quota_store as store
from hub.notices.quota_store import Change
from hub.notices.template import Template
from hub.notices.template_book import TemplateBook
from hub.platform.database import Database
from hub.platform.text import Language
from hub.security.token import Principal

WECHAT = "wechat"
Templates = Mapping[tuple[str, str, str], Template]


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A template of ours (`code`), what WeChat calls it, and how many messages of it the person still agreed to."""

    code: str
    template_id: str
    long_term: bool
    remaining: int


def changes(events: Sequence[Accepted | Rejected]) -> Mapping[tuple[str, str], Change]:
    """What these events, in their order, make of each (openid, template): one message more, or none any more."""
    found: dict[tuple[str, str], Change] = {}
    for event in events:
        place = event.openid, event.template
        before = found.get(place, Change())
        found[place] = Change(before.reset, before.plus + 1) if isinstance(event, Accepted) else Change(True, 0)
    return found


@dataclass(frozen=True, slots=True)
class WechatSubscriptions:
    """What people read of it. One per process. `long_term`: templates that are subscribed to for good."""

    database: Database
    templates: TemplateBook
    long_term: frozenset[str]

    async def read(self, who: Principal) -> Sequence[Subscription]:
        """Every template that is known to WeChat, in the person's language, whether they agreed to it or not."""
        templates = await self.templates.all()
        async with self.database.transaction() as connection:
            language, remaining = await store.of_user(connection, who.user)
        return [
            Subscription(
                code=each.code,
                template_id=each.provider_template,
                long_term=each.provider_template in self.long_term,
                remaining=remaining.get(each.provider_template, 0),
            )
            for each in _shown(templates, language)
        ]


def codes_of(templates: Templates, template_id: str) -> list[str]:
    """The templates of ours that WeChat knows by this id."""
    return sorted(
        {
            each.code
            for (_, channel, _), each in templates.items()
            if channel == WECHAT and each.provider_template == template_id
        }
    )


def _shown(templates: Templates, language: Language) -> list[Template]:
    codes = sorted({code for code, channel, _ in templates if channel == WECHAT})
    chosen = [templates.get((code, WECHAT, language)) or templates.get((code, WECHAT, "zh")) for code in codes]
    return [each for each in chosen if each is not None and not each.is_off]
