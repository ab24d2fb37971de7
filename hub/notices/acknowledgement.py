"""The button of a WeCom card, 我已知晓: the notice that it stands for is seen, exactly as if it had been read."""

from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.wecom_event import Pressed
from hub.notices.event import NoticeAcknowledged
from hub.notices.message import key_of
from hub.notices.notice_class import LONGEST_S
from hub.platform.outbox import publish
from hub.platform.text import Language

CARD_S = LONGEST_S + 3 * 86_400  # a notice is that old at most when its card can still be answered (72 hours)
MOST = 5000

ACKNOWLEDGED = Counter("hub_notices_acknowledged_total", "Notices ended by the button of a card")

# Only to their own: the key is of an address, and the address must be theirs now. WeCom's user ids know no case (path/90236).
_CARDS = text(f"""
SELECT n.id::text AS notice, n.subject, n.user_id::text AS user, a.step, a.address, coalesce(p.language, 'zh') AS language
FROM notice_addresses d JOIN notices n ON n.user_id = d.user_id AND n.created_at > now() - make_interval(secs => :since_s)
JOIN notice_attempts a ON a.notice = n.id AND a.channel = 'wecom' AND a.address = d.id::text
LEFT JOIN notice_preferences p ON p.user_id = d.user_id
WHERE d.channel = 'wecom' AND lower(d.value) = lower(:user) AND d.gone_at IS NULL AND d.verified
ORDER BY a.id DESC LIMIT {MOST}
""")  # noqa: S608 - a constant
# The answer to the press changes this card; the worker would say over it that it was seen elsewhere.
_DONE = text("""
UPDATE notice_attempts SET withdrawn_at = coalesce(withdrawn_at, clock_timestamp())
WHERE notice = CAST(:notice AS uuid) AND channel = 'wecom' AND step = :step AND address = :address
""")
# As in `withdrawal`: while a worker holds the notice, it is the worker that finishes.
_SEE = text("""
UPDATE notices n SET state = 'seen', reason = 'acknowledged', seen_at = clock_timestamp(),
  ended_at = coalesce(n.ended_at, clock_timestamp()), next_at = CASE WHEN n.lease IS NOT NULL THEN n.next_at ELSE clock_timestamp() END
WHERE n.id = CAST(:notice AS uuid) AND n.seen_at IS NULL AND n.state <> 'superseded'
""")


async def acknowledge(connection: AsyncConnection, pressed: Pressed) -> Language | None:
    """The language of who pressed, to answer in; None when it is no card of theirs. Pressing again changes nothing.

    What shows elsewhere is taken back by the worker, which looks at the notice at once.
    """
    cards = await connection.execute(_CARDS, {"user": pressed.user, "since_s": CARD_S})
    for card in cards:
        if key_of(card.notice, card.step, card.address) == pressed.key:
            values = {"notice": card.notice}
            await connection.execute(_DONE, {**values, "step": card.step, "address": card.address})
            ACKNOWLEDGED.inc((await connection.execute(_SEE, values)).rowcount)
            if card.subject:  # pressed after the notice was seen, it is an answer all the same
                await publish(connection, NoticeAcknowledged(subject=card.notice, about=card.subject, user=card.user))
            language: Language = card.language
            return language
    return None
