"""The messages of a notice: which template, what is shown, and the names by which providers tell repetitions."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from channels.port import Address, Channel, Content, Message
from hub.notices.decision import Way
from hub.notices.model import Notice, Person
from hub.notices.template import Template, render
from hub.notices.template_default import Key

NEEDS_TEMPLATE = frozenset({"wechat", "sms"})  # their providers send approved templates only


class Writer:
    """What can be sent at the moment: the channels that are on, and the templates as they hold."""

    def __init__(
        self, channels: Sequence[Channel], templates: Mapping[Key, Template], public_url: str, long_term: frozenset[str]
    ) -> None:
        """`long_term`: templates of WeChat that people subscribe to for good, so that nothing is counted."""
        self.long_term = long_term
        self._channels = channels
        self._templates = templates
        self._codes = {key[0] for key in templates}
        self._public_url = public_url

    def knows(self, code: str) -> bool:
        """Whether there is any template of this code."""
        return code in self._codes

    def channel(self, provider: str) -> Channel | None:
        return next((each for each in self._channels if each.provider == provider), None)

    def template(self, notice: Notice, person: Person, channel: str) -> Template | None:
        """In the person's language, else in Chinese; None where the channel cannot show this notice."""
        found = self._templates.get((notice.template, channel, person.language)) or self._templates.get(
            (notice.template, channel, "zh")
        )
        if found is None or (channel in NEEDS_TEMPLATE and not found.provider_template):
            return None
        return found

    def ways(self, notice: Notice, person: Person) -> dict[str, list[Way]]:
        """The providers of each channel, in the order of the settings."""
        found: dict[str, list[Way]] = {}
        for channel in self._channels:
            template = self.template(notice, person, channel.name)
            if template is not None:
                if channel.name == "wechat" and not self._render(template, notice, person, 1).template:
                    continue  # one of its fields cannot hold what this notice says
                probe = _repetition(person, channel.name, template)
                way = Way(channel.provider, channel.may_repeat(probe), channel.receipt_s)
                found.setdefault(channel.name, []).append(way)
        return found

    def write(
        self, notice: Notice, person: Person, channel: str, address: Address, *, step: int, attempt: str, now: datetime
    ) -> Message | None:
        """The message for this address; None where there is no template any more."""
        template = self.template(notice, person, channel)
        if template is None:
            return None
        ttl_s = max(1, int((notice.expires_at - now).total_seconds()))
        return Message(
            key=key_of(notice.id, step, address.id),
            tag=notice.tag,
            attempt=attempt,
            address=address,
            content=self._render(template, notice, person, ttl_s),
        )

    def _render(self, template: Template, notice: Notice, person: Person, ttl_s: int) -> Content:
        return render(
            template,
            notice.values,
            count=person.total,
            ttl_s=ttl_s,
            public_url=self._public_url,
            timezone=person.timezone,
        )


def key_of(notice: str, step: int, address: str) -> str:
    """The `Message.key` of this step at this address: the same for every repetition, and what WeCom gives back as the task."""
    return hashlib.blake2b(f"{notice}|{step}|{address}".encode(), digest_size=16).hexdigest()


def _repetition(person: Person, channel: str, template: Template) -> Message:
    """As far as `may_repeat` looks at it: a second call, so what the first spent of WeChat's quota is added again."""
    extra = dict(next((each.extra for each in person.addresses.get(channel, ())), {}))
    if "remaining" in extra:
        extra["remaining"] = str(int(extra["remaining"]) + 1)
    content = Content(title="", body="", template=template.provider_template)
    return Message(key="", tag="", attempt="", address=Address(id="", value="", extra=extra), content=content)
