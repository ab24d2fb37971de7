"""What a provider says of a message after it took it, whoever says it: one form for the ledger. No I/O."""

import re

import msgspec

from channels.sms_receipt import Receipt
from channels.wechat_event import Rejected, Sent
from channels.word import code_of, id_of
from hub.notices.model import AttemptState
from hub.platform.identifier import is_id

WEIXIN = "weixin"
USER_REFUSES = 43101
# In our own words: WeChat's could hold anything.
DETAILS = {AttemptState.REFUSED: "the person wants no messages of ours", AttemptState.DEAD: "it did not arrive"}

_PLAIN = re.compile(r"[\x21-\x7e]{0,128}")  # what ids of providers consist of; PostgreSQL takes no NUL


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one message. `attempt` names it where the provider gives that back, else `provider_id` does."""

    provider: str
    attempt: str | None
    provider_id: str
    state: AttemptState
    """DELIVERED, DEAD or REFUSED."""
    code: str
    detail: str = ""


def word_of_sms(receipt: Receipt) -> Word:
    """A failure of the carrier is a definite one: the next provider may be asked."""
    attempt = receipt.attempt if receipt.attempt is not None and is_id(receipt.attempt) else None
    return Word(
        provider=receipt.provider,
        attempt=attempt,
        provider_id=id_of(receipt.provider_id),
        state=AttemptState.DELIVERED if receipt.delivered else AttemptState.DEAD,
        code=code_of(receipt.code),
    )


def word_of_wechat(sent: Sent) -> Word:
    """That the person blocks us is REFUSED, everything else that went wrong is DEAD."""
    failed = AttemptState.REFUSED if is_refused(sent) else AttemptState.DEAD
    state = AttemptState.DELIVERED if sent.is_delivered else failed
    return Word(
        provider=WEIXIN,
        attempt=None,
        provider_id=id_of(sent.msgid),
        state=state,
        code=code_of(str(sent.error_code)),
        detail=DETAILS.get(state, ""),
    )


def is_refused(sent: Sent) -> bool:
    """Whether it did not arrive because the person does not want it: nothing is left of what they agreed to."""
    blocks = any(word in sent.error_status.lower() for word in ("refuse", "block"))
    return not sent.is_delivered and (sent.error_code == USER_REFUSES or blocks)


def rejected(sent: Sent) -> Rejected:
    return Rejected(sent.openid, sent.template)


def is_plain(text: str) -> bool:
    """Whether it can be an id that a provider gave."""
    return _PLAIN.fullmatch(text) is not None
