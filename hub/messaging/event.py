"""What happened in conversations, for other areas. Ids only: who reacts looks the entry up."""

from hub.platform.outbox import Event


class EmergencyWritten(Event, frozen=True, kw_only=True):
    """Somebody is about to say words of an emergency; published before the entry is there, which may never come.

    What they are stands nowhere but in the entry, sealed. `subject` is one for each entry, so that an event which waits for
    its entry keeps nobody else's waiting (`alarm`). `looks`: how often the entry was looked for before.
    """

    conversation: str
    sender: str
    client_msg_id: str
    looks: int = 0
