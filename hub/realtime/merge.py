"""What was read and what came live meanwhile, as one stream without doubles."""

from collections.abc import Iterable, Mapping

from hub.realtime.frame import Broadcast


def merge(read_until: Mapping[str, int], held: Iterable[Broadcast]) -> list[Broadcast]:
    """What of the held facts the client still lacks after pages up to `read_until` were sent.

    Entries come in seq order within their conversation, each once; other facts keep their place among themselves, after
    the entries: they speak of entries (receipts, membership) that must be there first.
    """
    sent = dict(read_until)
    facts: list[Broadcast] = []
    entries: list[Broadcast] = []
    for broadcast in held:
        (facts if broadcast.conversation is None else entries).append(broadcast)
    fresh: list[Broadcast] = []
    for broadcast in sorted(entries, key=lambda b: (b.conversation or "", b.first_seq)):
        conversation = broadcast.conversation or ""
        rest = broadcast.after(sent.get(conversation, 0))
        if rest.payloads:
            fresh.append(rest)
            sent[conversation] = rest.last_seq
    return [*fresh, *facts]
