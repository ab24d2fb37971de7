"""The button of a WeCom card ends the notice as reading does: for its owner, once, and everywhere."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from channels.wechat_crypto import MessageCrypt, sealed_of
from channels.wechat_xml import read_xml
from hub.notices.message import key_of
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.callback_scene import WECOM, Line, open_line
from tests.integration.test_notice_callback import pressed_xml
from tests.standins.qyapi import CORP_ID
from tests.standins.tencent_server import AES_KEY, PUSH_TOKEN


@pytest_asyncio.fixture
async def line(database: Database, redis_url: str) -> AsyncIterator[Line]:
    async with open_line(database, redis_url) as opened:
        yield opened


class Card:
    """A card that shows, and a push beside it."""

    def __init__(self, line: Line, user: str, name: str, address: str, notice: str) -> None:
        self.line, self.user, self.name, self.address, self.notice = line, user, name, address, notice
        self.key = key_of(notice, 1, address)

    async def press(
        self, name: str | None = None, key: str | None = None, button: str = "acknowledge"
    ) -> tuple[int, str]:
        return await self.line.tell(WECOM, pressed_xml(key or self.key, name or self.name, button))

    async def row(self) -> Any:  # Any: a row
        return await self.line.row("notices", self.notice)


async def shown(line: Line, state: str = "open", **more: Any) -> Card:
    user, name, address = await line.person(), f"ZhangSan{new_id()[-6:]}", new_id()
    await line.pool.execute(
        "INSERT INTO notice_addresses (id, user_id, channel, value) VALUES ($1, $2, 'wecom', $3)", address, user, name
    )
    notice = await line.notice(user, state, **more)
    await line.attempt(notice, "qyapi", "accepted", "msg|code", address=address)
    await line.attempt(notice, "webpush", "accepted", address="push")
    return Card(line, user, name, address, notice)


def answered(text: str) -> str:
    """What the button is to say."""
    sealed = sealed_of(text.encode())
    outer = read_xml(text.encode())
    crypt = MessageCrypt(PUSH_TOKEN, AES_KEY, CORP_ID)
    said = crypt.open(
        str(outer["MsgSignature"]), str(outer["TimeStamp"]), str(outer["Nonce"]), sealed, float(str(outer["TimeStamp"]))
    )
    button: Any = read_xml(said)["Button"]
    return str(button["ReplaceName"])


@pytest.mark.parametrize("state", ["open", "unconfirmed", "delivered", "failed"])
async def test_pressed_button_ends_the_notice_as_seen(line: Line, state: str) -> None:
    """The answer makes the button grey; the worker takes back what shows elsewhere, and leaves this card as it is."""
    card = await shown(line, state)
    status, text = await card.press()
    row = await card.row()

    assert (status, answered(text)) == (200, "我已知晓")
    assert (row["state"], row["reason"], row["due"]) == ("seen", "acknowledged", True)
    assert row["seen_at"] is not None
    assert row["ended_at"] is not None
    withdrawn = await line.pool.fetch(
        "SELECT channel FROM notice_attempts WHERE notice = $1 AND withdrawn_at IS NULL", card.notice
    )
    assert [each["channel"] for each in withdrawn] == ["webpush"]


async def test_button_pressed_again_is_answered_the_same(line: Line) -> None:
    """Not a row changes; WeCom writes user ids as it likes."""
    card = await shown(line)
    await card.press()
    before = await line.everything()
    status, text = await card.press(card.name.upper())

    assert (status, answered(text)) == (200, "我已知晓")
    assert await line.everything() == before


async def test_card_is_its_owners_alone(line: Line) -> None:
    """Another member, another card, another button, an address that was given up: nothing changes, and WeCom is content."""
    card, other = await shown(line), await shown(line)
    before = await line.everything()
    answers = [
        await card.press(other.name),
        await card.press("nobody"),
        await card.press(key="0" * 32),
        await card.press(button="another"),
        await line.tell(WECOM, b"<xml><MsgType>text</MsgType><FromUserName>a</FromUserName></xml>"),
    ]
    await line.pool.execute("UPDATE notice_addresses SET gone_at = now() WHERE id = $1", card.address)
    answers.append(await card.press())

    assert answers == [(200, "success")] * 6
    assert await line.everything() == before


async def test_notice_that_a_worker_holds_keeps_its_lease(line: Line) -> None:
    """It is the worker that finishes, and takes back what it is just sending."""
    card = await shown(line, lease=new_id())
    before = await card.row()
    await card.press()
    row = await card.row()

    assert (row["state"], row["lease"], row["next_at"]) == ("seen", before["lease"], before["next_at"])


@pytest.mark.parametrize("state", ["superseded", "seen"])
async def test_notice_that_was_seen_or_replaced_stays_so(line: Line, state: str) -> None:
    """The button becomes grey all the same."""
    card = await shown(line, state)
    before = await card.row()
    _, text = await card.press()

    assert answered(text) == "我已知晓"
    assert await card.row() == before


async def test_answer_is_in_the_persons_language(line: Line) -> None:
    """As the card was."""
    card = await shown(line)
    await line.pool.execute("INSERT INTO notice_preferences (user_id, language) VALUES ($1, 'en')", card.user)
    _, text = await card.press()

    assert answered(text) == "I have it"
