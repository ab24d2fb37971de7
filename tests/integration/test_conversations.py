"""Starting conversations, listing them, and who is in them: what each sees, from which entry and until which (P5)."""

import asyncio

import pytest

from hub.messaging import actions, membership, operation
from hub.messaging.conversation import Role
from hub.messaging.model import Kind, Status
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.platform.page import Paging
from tests.integration.scene import Scene, note, words


def paged(page: int = 1, page_size: int = 10) -> Paging:
    return Paging(page, page_size, "updatedAt", descending=True)


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


async def test_a_direct_conversation_is_made_once_when_both_start_it_at_the_same_time(scene: Scene) -> None:
    """One per pair, for ever; whoever comes second is answered the first."""
    doctor, patient = await scene.person("doctor", "王医生"), await scene.person("patient", "赵六")
    made = await asyncio.gather(
        *(
            actions.create_direct(scene.services, actor=doctor, role="doctor", members=members)
            for members in ([patient], [patient, doctor], [patient])
        )
    )
    again = await actions.create_direct(scene.services, actor=patient, role="patient", members=[doctor])
    seen = await scene.listing.one(patient, again)

    assert {*made, again} == {made[0]}
    assert len(scene.announced.changes) == 2
    assert sorted(scene.announced.told) == sorted([doctor, patient])
    assert (seen.kind, seen.title, seen.member_count) == (Kind.DIRECT, "王医生", 2)


async def test_a_patient_reaches_a_doctor_only_once_they_share_a_conversation(scene: Scene) -> None:
    """P14: refused with the position in the request; nothing is made."""
    patient, companion = await scene.person(), await scene.person("companion")
    doctor, _ = await scene.group(patient)
    stranger = await scene.person("doctor")
    await actions.create_direct(scene.services, actor=patient, role="patient", members=[doctor])
    with pytest.raises(Refusal) as refused:
        await actions.create_direct(scene.services, actor=patient, role="patient", members=[stranger])
    with pytest.raises(Refusal) as group:
        await actions.create_group(scene.services, actor=companion, role="companion", title="群", members=[patient])

    assert (refused.value.code, refused.value.fields) == (ErrorCode.FORBIDDEN, {"members[0]": "members_out_of_reach"})
    assert group.value.code == ErrorCode.FORBIDDEN
    assert await scene.listing.page(stranger, paged()) == ([], 0)


async def test_a_conversation_with_nobody_or_unknown_people_is_refused(scene: Scene) -> None:
    """P14: suspended accounts are unknown too."""
    doctor, one, suspended = (
        await scene.person("doctor"),
        await scene.person(),
        await scene.person(status="suspended"),
    )
    fields: list[str] = []
    for members in ([doctor], [one, new_id()], [one, suspended], [one, one]):
        with pytest.raises(Refusal) as refused:
            await actions.create_group(scene.services, actor=doctor, role="doctor", title="群", members=members)
        fields += refused.value.fields
    with pytest.raises(Refusal) as untitled:
        await actions.create_group(scene.services, actor=doctor, role="doctor", title=" ", members=[one])
    six = [await scene.person() for _ in range(6)]
    with pytest.raises(Refusal) as crowded:
        await actions.create_group(scene.services, actor=doctor, role="doctor", title="群", members=six)

    assert fields == ["members", "members[1]", "members[1]", "members[1]"]
    assert list(untitled.value.fields) == ["title"]
    assert list(crowded.value.fields) == ["members"]
    assert await scene.database.log.fetchval("SELECT count(*) FROM members WHERE user_id = $1", doctor) == 0


async def test_a_group_begins_with_an_entry_and_its_title_is_sealed(scene: Scene) -> None:
    """P12: a title may name an illness."""
    patient = await scene.person()
    doctor, group = await scene.group(patient, title="糖尿病随访")
    (first,) = await scene.seen(patient, group)
    stored = await scene.database.log.fetchval("SELECT title FROM conversations WHERE id = $1", group)
    seen = await scene.listing.one(patient, group)

    assert note(first) == {"event": "created", "users": sorted([doctor, patient]), "by": doctor, "note": "糖尿病随访"}
    assert "糖尿病".encode() not in stored
    assert seen.title == "糖尿病随访"
    assert [(member.user, member.role) for member in seen.members if member.user == doctor] == [(doctor, Role.OWNER)]
    assert {member.name for member in seen.members} == {"李医生", "张三"}
    assert scene.announced.entries == [first]


async def test_members_see_a_window_of_the_log(scene: Scene) -> None:
    """P5: from the entry of one's joining to the entry of one's removal; who returns sees from the return on."""
    early, late = await scene.person(), await scene.person()
    doctor, group = await scene.group(early)
    await scene.send(group, doctor, "2")
    await membership.add(scene.services, actor=doctor, role="doctor", conversation=group, members=[late])
    await scene.send(group, doctor, "4")
    await membership.remove(scene.services, actor=doctor, role="doctor", conversation=group, members=[late])
    await scene.send(group, doctor, "6")
    removed = await scene.seqs(late, group)
    refused = await scene.send(group, late, "no")
    await membership.add(scene.services, actor=doctor, role="doctor", conversation=group, members=[late])
    place = scene.announced.changes[-1]

    assert removed == [3, 4, 5]
    assert refused.status == Status.NOT_MEMBER
    assert await scene.seqs(late, group) == [7]
    assert (place.user, place.from_seq, place.to_seq, place.members_version) == (late, 7, None, 4)
    assert await scene.seqs(early, group) == [1, 2, 3, 4, 5, 6, 7]
    assert [note(entry)["event"] for entry in await scene.seen(doctor, group) if entry.type == "system"] == [
        "created",
        "members_added",
        "member_removed",
        "members_added",
    ]


async def test_nothing_of_a_removed_member_comes_after_the_removal_when_they_go_on_sending(scene: Scene) -> None:
    """P5: the removal and the appends take the same lock, so none slips past."""
    chatty = await scene.person()
    doctor, group = await scene.group(chatty)
    sending = asyncio.Event()

    async def chat() -> list[Status]:
        outcomes: list[Status] = []
        while Status.NOT_MEMBER not in outcomes:
            outcomes.append(Status((await scene.send(group, chatty, "…")).status))
            sending.set()
        return outcomes

    talking = asyncio.create_task(chat())
    await sending.wait()
    await membership.remove(scene.services, actor=doctor, role="doctor", conversation=group, members=[chatty])
    outcomes = await talking
    seen = await scene.seen(doctor, group)

    assert seen[-1].sender is None
    assert note(seen[-1])["event"] == "member_removed"
    assert [entry.sender for entry in seen].count(chatty) == outcomes.count(Status.NEW)


async def test_membership_changes_are_told_with_their_version_after_the_commit(scene: Scene) -> None:
    """Those who stay and those who changed; every change is a version further."""
    one, two = await scene.person(), await scene.person()
    doctor, group = await scene.group(one)
    await membership.add(scene.services, actor=doctor, role="doctor", conversation=group, members=[two, one])
    added = scene.announced.changes[-1]
    told = scene.announced.told
    await membership.remove(scene.services, actor=doctor, role="doctor", conversation=group, members=[one])
    removed = scene.announced.changes[-1]

    assert (added.user, added.members_version, added.kind, added.role) == (two, 2, "group", "member")
    assert sorted(told) == sorted([doctor, one, two])
    assert (removed.user, removed.members_version, removed.to_seq) == (one, 3, 3)
    assert sorted(scene.announced.told) == sorted([doctor, two])
    assert scene.announced.versions == [1, 2, 3]
    assert (await scene.listing.one(doctor, group)).members_version == 3


async def test_adding_and_removing_again_changes_nothing(scene: Scene) -> None:
    """A request whose answer was lost may be repeated."""
    one = await scene.person()
    doctor, group = await scene.group(one)
    await membership.add(scene.services, actor=doctor, role="doctor", conversation=group, members=[one])
    await membership.remove(scene.services, actor=doctor, role="doctor", conversation=group, members=[one])
    await membership.remove(scene.services, actor=doctor, role="doctor", conversation=group, members=[one])
    with pytest.raises(Refusal) as unknown:
        await membership.remove(scene.services, actor=doctor, role="doctor", conversation=group, members=[new_id()])

    assert len(scene.announced.entries) == 2
    assert unknown.value.fields == {"members[0]": "members_not_in"}


async def test_only_the_owner_admins_and_hub_staff_change_members(scene: Scene) -> None:
    """To others the group is closed or does not exist; an admin does not remove the owner; the limit holds."""
    plain, admin, staff, outsider = (
        await scene.person(),
        await scene.person(),
        await scene.person("staff"),
        await scene.person("doctor"),
    )
    doctor, group = await scene.group(plain, admin)
    await scene.admin_of(group, doctor, admin)

    async def refusal(actor: str, role: str, member: str) -> ErrorCode:
        with pytest.raises(Refusal) as refused:
            await membership.remove(scene.services, actor=actor, role=role, conversation=group, members=[member])
        return refused.value.code

    assert await refusal(plain, "patient", admin) == ErrorCode.FORBIDDEN
    assert await refusal(outsider, "doctor", plain) == ErrorCode.NOT_FOUND
    assert await refusal(admin, "patient", doctor) == ErrorCode.FORBIDDEN
    await membership.add(scene.services, actor=staff, role="staff", conversation=group, members=[staff])
    with pytest.raises(Refusal) as reach:
        await membership.add(scene.services, actor=admin, role="patient", conversation=group, members=[outsider])
    many = [await scene.person() for _ in range(3)]
    with pytest.raises(Refusal) as full:
        await membership.add(scene.services, actor=doctor, role="doctor", conversation=group, members=many)

    assert reach.value.fields == {"members[0]": "members_out_of_reach"}
    assert full.value.fields == {"members": "at most 6"}


async def test_the_ownership_passes_on_when_the_owner_leaves(scene: Scene) -> None:
    """To the longest-serving admin, in the same transaction, and as an entry."""
    plain, admin = await scene.person(), await scene.person()
    doctor, group = await scene.group(plain, admin)
    await scene.admin_of(group, doctor, admin)
    await membership.leave(scene.services, actor=doctor, conversation=group)
    left, heir = scene.announced.changes[-2:]

    assert (left.user, left.to_seq) == (doctor, 3)
    assert (heir.user, heir.role, heir.members_version) == (admin, "owner", 4)
    assert [note(entry)["event"] for entry in await scene.seen(plain, group)][2:] == ["member_left", "role_changed"]
    assert await scene.seqs(doctor, group) == [1, 2, 3]
    with pytest.raises(Refusal) as gone:
        await membership.leave(scene.services, actor=doctor, conversation=group)
    assert gone.value.code == ErrorCode.NOT_FOUND


async def test_the_last_one_out_leaves_an_empty_group(scene: Scene) -> None:
    """Nobody is left to inherit."""
    plain = await scene.person()
    doctor, group = await scene.group(plain)
    await membership.leave(scene.services, actor=plain, conversation=group)
    await membership.leave(scene.services, actor=doctor, conversation=group)

    assert scene.announced.told == []


async def test_handing_over_the_group_makes_the_former_owner_an_admin(scene: Scene) -> None:
    """One owner at any time; again changes nothing."""
    plain = await scene.person()
    doctor, group = await scene.group(plain)
    for _ in range(2):
        await membership.change_role(
            scene.services, actor=doctor, role="staff", conversation=group, user=plain, wanted=Role.OWNER
        )
    seen = await scene.listing.one(plain, group)

    assert {member.user: member.role for member in seen.members} == {plain: "owner", doctor: "admin"}
    assert seen.head == 2


async def test_care_follows_its_order_and_is_managed_by_code_alone(scene: Scene) -> None:
    """A hand-over happens at a seq; who comes later sees all; people cannot change who is in."""
    patient, first, second = await scene.person(), await scene.person("companion"), await scene.person("companion")
    async with scene.database.transaction() as connection:
        opened = await actions.open_care(
            scene.services, connection, source="order:1", patient=patient, members=[first], title="陪诊"
        )
    actions.tell(scene.services, opened)
    care = opened.conversation
    await scene.send(care, first, "我到了")
    async with scene.database.transaction() as connection:
        outcomes = await membership.assign(scene.services, connection, care, add=[second], remove=[first])
    for outcome in outcomes:
        actions.tell(scene.services, outcome)
    for act in (
        membership.leave(scene.services, actor=patient, conversation=care),
        membership.add(scene.services, actor=patient, role="patient", conversation=care, members=[first]),
        membership.remove(scene.services, actor=patient, role="admin", conversation=care, members=[second]),
        actions.rename(scene.services, actor=patient, role="patient", conversation=care, title="别的"),
    ):
        with pytest.raises(Refusal) as refused:
            await act
        assert refused.value.code == ErrorCode.FORBIDDEN

    assert await scene.seqs(second, care) == [1, 2, 3, 4]
    assert await scene.seqs(first, care) == [1, 2, 3, 4]
    assert (await scene.send(care, first, "?")).status == Status.NOT_MEMBER
    keys = await scene.database.log.fetch(
        "SELECT DISTINCT k.subject::text FROM entries e JOIN data_keys k ON k.id = e.key_id"
        " WHERE e.conversation = $1 AND e.type = 'system'",
        care,
    )
    assert [row[0] for row in keys] == [patient]


async def test_a_closed_conversation_tells_everybody_and_takes_nothing(scene: Scene) -> None:
    """Closing is an entry; closing again changes nothing."""
    patient = await scene.person()
    doctor, group = await scene.group(patient)
    for _ in range(2):
        await set_read_only(scene, group, read_only=True)

    assert (await scene.send(group, doctor, "?")).status == Status.READ_ONLY
    assert [(change.user, change.read_only) for change in scene.announced.changes[-2:]].count((patient, True)) == 1
    assert [note(entry)["event"] for entry in await scene.seen(patient, group)] == ["created", "state_changed"]
    assert (await scene.listing.one(patient, group)).state == "read_only"
    await set_read_only(scene, group, read_only=False)
    assert (await scene.send(group, doctor, "!")).status == Status.NEW


async def test_an_inbox_is_made_once_and_only_read(scene: Scene) -> None:
    """One for each person; the hub writes, the person reads."""
    user = await scene.person()
    made = []
    for _ in range(2):
        async with scene.database.transaction() as connection:
            made.append(await actions.open_inbox(scene.services, connection, user))
        actions.tell(scene.services, made[-1])

    assert made[0].conversation == made[1].conversation
    assert len(scene.announced.changes) == 1
    assert (await scene.send(made[0].conversation, user, "?")).status == Status.MAY_ONLY_READ


async def test_a_broadcast_is_written_by_its_author(scene: Scene) -> None:
    author, reader = await scene.person("staff"), await scene.person()
    conversation = await scene.broadcast(author, reader)

    assert (await scene.send(conversation, reader, "?")).status == Status.MAY_ONLY_READ
    assert (await scene.send(conversation, author, "请及时接种疫苗")).status == Status.NEW
    assert [entry.seq for entry in await scene.seen(reader, conversation)] == [1, 2]


async def test_the_list_has_pinned_ones_first_then_the_newest(scene: Scene) -> None:
    """Pages do not overlap; what one left is not there; others' settings are not shown."""
    patient = await scene.person()
    groups = [(await scene.group(patient, title=f"群{n}"))[1] for n in range(4)]
    await membership.leave(scene.services, actor=patient, conversation=groups[3])
    await actions.prefer(scene.services, actor=patient, conversation=groups[0], muted=True, pinned=True)
    first, total = await scene.listing.page(patient, paged(1, 2))
    rest, _ = await scene.listing.page(patient, paged(2, 2))
    oldest, _ = await scene.listing.page(patient, Paging(1, 10, "updatedAt", descending=False))

    assert [summary.id for summary in (*first, *rest)] == [groups[0], groups[2], groups[1]]
    assert [summary.id for summary in oldest] == [groups[0], groups[1], groups[2]]
    assert total == 3
    assert (first[0].pinned, first[0].muted, first[1].pinned) == (True, True, False)
    with pytest.raises(Refusal) as stranger:
        await actions.prefer(
            scene.services, actor=await scene.person(), conversation=groups[0], muted=True, pinned=None
        )
    assert stranger.value.code == ErrorCode.NOT_FOUND


async def test_the_list_is_of_one_kind_and_by_age_when_asked(scene: Scene) -> None:
    """The contract's `sort` and field filters; the total is of what is listed."""
    patient = await scene.person()
    doctor, old = await scene.group(patient)
    direct = await actions.create_direct(scene.services, actor=doctor, role="doctor", members=[patient])
    _, new = await scene.group(patient)
    await scene.send(old, patient, "后来的话")
    by_age, _ = await scene.listing.page(patient, Paging(1, 10, "createdAt", descending=True))
    groups, total = await scene.listing.page(patient, Paging(1, 10, "createdAt", descending=False), "group")

    assert [summary.id for summary in by_age] == [new, direct, old]
    assert ([summary.id for summary in groups], total) == ([old, new], 2)


async def test_unread_is_what_others_wrote_after_what_one_has_read(scene: Scene) -> None:
    """Computed, never a counter; what was before one's time does not count."""
    patient, late = await scene.person(), await scene.person()
    doctor, group = await scene.group(patient)
    for sender in (doctor, doctor, patient):
        await scene.send(group, sender, "…")
    await membership.add(scene.services, actor=doctor, role="doctor", conversation=group, members=[late])
    await scene.send(group, doctor, "…")
    await scene.database.log.execute("UPDATE members SET read_seq = 2 WHERE user_id = $1", patient)

    unread = {user: (await scene.listing.one(user, group)).unread for user in (patient, late, doctor)}
    assert unread == {patient: 3, late: 2, doctor: 3}
    for user in (patient, late, doctor):
        (standing,) = await scene.history.standings(user, None)
        assert standing.unread == unread[user]


async def test_the_last_entry_reads_as_it_is_now(scene: Scene) -> None:
    """Edited, recalled, erased; operations are no entries to show."""
    patient = await scene.person()
    doctor, group = await scene.group(patient)
    sent = await scene.send(group, doctor, "明天九点")
    await scene.write(group, patient, "react", b'{"emoji":"\\ud83d\\udc4d"}', target=sent.seq)

    async def last() -> tuple[int, str, bool, bool]:
        entry = (await scene.listing.one(patient, group)).last_entry
        assert entry is not None
        return entry.seq, words(entry), entry.recalled, entry.erased

    who = {"conversation": group, "actor": doctor, "role": "doctor"}
    before = await last()
    for text in ("明天十点", "明天十一点"):
        body = f'{{"text":"{text}"}}'.encode()
        await operation.edit(scene.services, seq=2, client_msg_id=new_id(), body=body, **who)
    edited = await last()
    await operation.recall(scene.services, seq=2, client_msg_id=new_id(), body=b"{}", **who)
    recalled = await last()
    await scene.send(group, doctor, "再说")
    async with scene.database.transaction() as connection:
        await scene.sealer.destroy(connection, doctor)

    assert before == (2, "明天九点", False, False)
    assert edited == (2, "明天十一点", False, False)
    assert recalled == (2, "", True, False)
    assert await last() == (7, "", False, True)


async def test_a_conversation_does_not_exist_for_strangers(scene: Scene) -> None:
    """Not for doctors, not for hub staff, not for who was removed; nor does an id that is none."""
    patient = await scene.person()
    doctor, group = await scene.group(patient)
    await membership.remove(scene.services, actor=doctor, role="doctor", conversation=group, members=[patient])
    for user, conversation in (
        (patient, group),
        (await scene.person("staff"), group),
        (doctor, new_id()),
        (doctor, "'; --"),
    ):
        with pytest.raises(Refusal) as refused:
            await scene.listing.one(user, conversation)
        assert refused.value.code == ErrorCode.NOT_FOUND


async def test_strangers_make_no_keys(scene: Scene) -> None:
    """Asking for any id leaves nothing behind."""
    doctor = await scene.person("doctor")
    count = "SELECT count(*) FROM data_keys"
    before = await scene.database.log.fetchval(count)
    for conversation in (new_id(), (await scene.group(await scene.person()))[1]):
        with pytest.raises(Refusal):
            await membership.add(
                scene.services, actor=doctor, role="doctor", conversation=conversation, members=[doctor]
            )
        with pytest.raises(Refusal):
            await operation.recall(
                scene.services,
                conversation=conversation,
                actor=doctor,
                role="doctor",
                seq=1,
                client_msg_id="a",
                body=b"{}",
            )

    assert await scene.database.log.fetchval(count) == before + 1  # the group's own


async def test_a_title_is_changed_by_those_who_manage_the_group(scene: Scene) -> None:
    """And told as an entry."""
    patient = await scene.person()
    doctor, group = await scene.group(patient)
    await actions.rename(scene.services, actor=doctor, role="doctor", conversation=group, title="术后康复")
    with pytest.raises(Refusal) as refused:
        await actions.rename(scene.services, actor=patient, role="patient", conversation=group, title="x")
    seen = await scene.listing.one(patient, group)

    assert refused.value.code == ErrorCode.FORBIDDEN
    assert seen.title == "术后康复"
    assert seen.last_entry is not None
    assert note(seen.last_entry) == {"event": "renamed", "by": doctor, "note": "术后康复"}


async def test_statements_of_each_use_case_are_counted(scene: Scene) -> None:
    """Pinned, however many members: transactions on the way to a change, the change itself."""
    members = [await scene.person() for _ in range(4)]
    with scene.statements() as creating:
        doctor, group = await scene.group(*members)
    with scene.statements() as removing:
        await membership.remove(scene.services, actor=doctor, role="doctor", conversation=group, members=members[:3])
    with scene.statements() as adding:
        await membership.add(scene.services, actor=doctor, role="doctor", conversation=group, members=members[:3])

    assert len(creating) == 1 + 4  # the doctor; people, conversation, members, entry
    assert len(removing) == 2 + 5  # conversation, place; lock, members, version, entry, places
    assert len(adding) == 2 + 7  # the same, and people, places read back


async def set_read_only(scene: Scene, conversation: str, *, read_only: bool) -> None:
    async with scene.database.transaction() as connection:
        outcome = await actions.set_read_only(scene.services, connection, conversation, read_only=read_only)
    actions.tell(scene.services, outcome)
