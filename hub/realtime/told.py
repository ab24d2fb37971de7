"""Which entries this node has told its sockets lately, so that a repair after a Redis outage tells only what was missed."""

KEPT_S = 60.0  # longer than an outage goes unnoticed plus the slack of its repair

Range = list[int]


class Told:
    """Ranges of seqs per conversation, forgotten one to two `KEPT_S` after they were added. Time is an argument."""

    def __init__(self, now: float) -> None:
        self._new: dict[str, list[Range]] = {}
        self._old: dict[str, list[Range]] = {}
        self._turned_at = now

    def add(self, conversation: str, first: int, last: int, now: float) -> None:
        """These were told."""
        if now - self._turned_at >= KEPT_S:
            self._old, self._new = self._new, {}
            self._turned_at = now
        ranges = self._new.get(conversation)
        if ranges is None:
            self._new[conversation] = [[first, last]]
        elif ranges[-1][0] <= first <= ranges[-1][1] + 1:  # the usual case: the next ones
            ranges[-1][1] = max(ranges[-1][1], last)
        else:
            ranges.append([first, last])

    def lacks(self, conversation: str, seq: int) -> bool:
        """Whether this one was not told, as far as is remembered."""
        ranges = (*self._new.get(conversation, ()), *self._old.get(conversation, ()))
        return not any(first <= seq <= last for first, last in ranges)
