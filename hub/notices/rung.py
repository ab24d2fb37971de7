"""One step of a ladder: whom it calls first, and what follows from how the calls went. No I/O; `ladder` puts the steps together."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from channels.port import Address
from hub.notices.decision import Case, Decision, Mark, Note, Send, Way
from hub.notices.model import Attempt, AttemptState
from hub.notices.notice_class import Step

TRIES = 8  # calls of one provider for one address in one step
REPEAT = timedelta(
    seconds=1500
)  # WeCom tells a repetition for 1,800 s (developer.work.weixin.qq.com/document/path/90236)

_SPENT = frozenset({AttemptState.DEAD, AttemptState.GONE, AttemptState.REFUSED, AttemptState.SUPPRESSED})


def start(decision: Decision, case: Case, number: int, step: Step) -> bool:
    """The first call of a step, to every address there is; True where there is nobody to call."""
    ways = case.ways.get(step.channel, ())
    addresses = case.person.addresses.get(step.channel, [])
    code = _obstacle(case, step, ways, addresses)
    if code is not None:
        state = AttemptState.SUPERSEDED if code == "delivered" else AttemptState.SUPPRESSED
        decision.notes.append(Note(step=number, channel=step.channel, state=state, code=code))
        return code != "delivered"
    for address in addresses:
        decision.sends.append(_send(number, step, ways[0], address, 1))
    return False


def _obstacle(case: Case, step: Step, ways: Sequence[Way], addresses: Sequence[Address]) -> str | None:
    if step.unless == "delivered" and case.is_received:
        return "delivered"
    if step.channel in case.person.preference.channels_off and not case.class_.mandatory:
        return "preference"
    if not ways:
        return "off"
    if not addresses:
        return "no_address"
    if step.channel == "sms" and case.person.texted and case.class_.lane != "urgent":
        return "texted"
    # Carriers cut off a phone that gets too many: whoever writes to somebody often must not cost them an alert.
    if step.channel == "sms" and case.class_.lane != "urgent" and case.person.texts_today >= case.texts_per_day:
        return "texts_enough"
    if all(each.extra.get("remaining") == "0" for each in addresses):
        return "quota"
    return None


def _send(number: int, step: Step, way: Way, address: Address, attempt: int) -> Send:
    return Send(
        step=number, channel=step.channel, provider=way.provider, address=address, number=attempt, unless=step.unless
    )


def go_on(decision: Decision, case: Case, step: Step, rows: Sequence[Attempt], now: datetime) -> bool:
    """What a step that has begun needs; True where it has failed at every address."""
    latest: dict[str, Attempt] = {}
    for each in sorted(rows, key=lambda row: (_order(case, row), row.number)):
        latest[each.address] = each
    # Every one of them, not only until the first that hopes: each may need a call.
    spent = [_pursue(decision, case, step, each, now) for each in latest.values()]
    return all(spent)


def _order(case: Case, row: Attempt) -> int:
    names = [way.provider for way in case.ways.get(row.channel, ())]
    return names.index(row.provider) if row.provider in names else -1


def _pursue(decision: Decision, case: Case, step: Step, row: Attempt, now: datetime) -> bool:
    """One address; True where there is nothing more to hope for."""
    state = row.state
    if state in (AttemptState.RETRY, AttemptState.UNKNOWN):
        return _again(decision, case, step, row, now)
    if state is AttemptState.DEAD:
        ways = case.ways.get(row.channel, ())
        following = ways[_order(case, row) + 1 :] if _order(case, row) >= 0 else ()
        address = _address(case, row)
        if following and address is not None and not _is_reached(case, step):
            decision.sends.append(_send(row.step, step, following[0], address, 1))
            return False
        return True
    if state is AttemptState.ACCEPTED and row.receipt_until is not None and now < row.receipt_until:
        decision.wait(row.receipt_until)
        return False
    return state in _SPENT


def _again(decision: Decision, case: Case, step: Step, row: Attempt, now: datetime) -> bool:
    """A call that failed for now, or whose outcome nobody knows."""
    way = next((way for way in case.ways.get(row.channel, ()) if way.provider == row.provider), None)
    if row.state is not AttemptState.RETRY and not is_repeated(case, row, now):
        return inquire(decision, row, now)
    address = _address(case, row)
    if way is None or address is None or row.number >= TRIES:
        if row.state is AttemptState.RETRY:
            code = "tries" if row.number >= TRIES else "no_address"
            decision.marks.append(Mark(attempt=row.id, state=AttemptState.DEAD, code=row.code or code))
        return row.state is AttemptState.RETRY
    if _is_reached(case, step):
        if row.state is AttemptState.RETRY:
            decision.marks.append(Mark(attempt=row.id, state=AttemptState.SUPERSEDED, code="delivered"))
        return False
    if row.next_at is not None and now < row.next_at:
        decision.wait(row.next_at)
    else:
        decision.sends.append(_send(row.step, step, way, address, row.number + 1))
    return False


def is_repeated(case: Case, row: Attempt, now: datetime) -> bool:
    """Whether a call whose outcome nobody knows may be made again: the provider still tells it from a new one."""
    way = next((way for way in case.ways.get(row.channel, ()) if way.provider == row.provider), None)
    place = (row.step, row.provider, row.address)
    first = min(
        (each.sent_at for each in case.attempts if (each.step, each.provider, each.address) == place and each.sent_at),
        default=now,
    )
    return way is not None and way.repeats and now - first < REPEAT


def inquire(decision: Decision, row: Attempt, now: datetime) -> bool:
    """Where a repetition might reach somebody twice, only the provider's word settles it. Never a failure by itself."""
    if row.receipt_until is not None and now < row.receipt_until:
        if row.next_at is None or row.next_at <= now:
            decision.settles.append(row)
        else:
            decision.wait(min(row.next_at, row.receipt_until))
    return False


def _is_reached(case: Case, step: Step) -> bool:
    return step.unless == "delivered" and case.is_received


def _address(case: Case, row: Attempt) -> Address | None:
    known = case.person.addresses.get(row.channel, [])
    return next((each for each in known if each.id == row.address), None)
