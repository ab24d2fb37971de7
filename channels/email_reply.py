"""What the replies of an SMTP server mean for a letter, by the step at which they came (RFC 5321, RFC 3463). Pure."""

import re
from enum import StrEnum

from channels.port import Outcome, Verdict

RETRY_S = 60.0  # greylisting lets nothing through for about that long
ENHANCED = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b", re.ASCII)
NO_SUCH_MAILBOX = frozenset({550, 551, 553})


class Step(StrEnum):
    """Where in the conversation a reply came."""

    CONNECT = "connect"
    SIGN_IN = "sign_in"
    SENDER = "sender"
    RECIPIENT = "recipient"
    DATA = "data"


def judge(step: Step, code: int, text: str) -> Outcome:
    """What a reply that is not the hoped one means. The text may quote the address: only the status in it is kept."""
    found = ENHANCED.search(text)
    status = f"{code}/{found[0]}" if found else str(code)
    if 400 <= code < 500:
        return Outcome(verdict=Verdict.RETRY, code=status, detail=step, retry_after_s=RETRY_S)
    if step is Step.RECIPIENT:
        return _judge_recipient(code, (found[2], found[3]) if found else ("", ""), status)
    # What is left is about us: the account, the sender, or with DATA the letter, which is the same for everybody.
    return Outcome(verdict=Verdict.DEAD, code=status, detail=step, alarm=True)


def _judge_recipient(code: int, kind: tuple[str, str], status: str) -> Outcome:
    """RFC 3463, section 3: x.1 is the address, x.2 the mailbox, x.7 policy, where 550 says nothing of the mailbox."""
    match kind:
        case ("2", "2"):
            return Outcome(verdict=Verdict.REFUSED, code=status, detail="the mailbox is full")
        case ("7", _):
            return Outcome(verdict=Verdict.DEAD, code=status, detail="refused by policy", alarm=True)
        case ("1" | "2", _):
            return Outcome(verdict=Verdict.GONE, code=status, detail="no such mailbox")
    if code in NO_SUCH_MAILBOX:
        return Outcome(verdict=Verdict.GONE, code=status, detail="no such mailbox")
    if code == 552:
        return Outcome(verdict=Verdict.REFUSED, code=status, detail="the mailbox is full")
    return Outcome(verdict=Verdict.DEAD, code=status, detail=Step.RECIPIENT)
