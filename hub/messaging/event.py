"""What happened in conversations, for other areas. Ids only: who reacts looks the entry up."""

from hub.messaging.emergency import Severity
from hub.platform.outbox import Event


class EmergencyWritten(Event, frozen=True, kw_only=True):
    """Somebody is about to say words of an emergency; published before the entry is there, which may never come.

    `subject` is made of the next three, so that one that waits for its entry keeps nobody else's waiting. `looks`: how often
    the entry was looked for before.
    """

    conversation: str
    sender: str
    client_msg_id: str
    rule: str
    version: str
    severity: Severity
    looks: int = 0
