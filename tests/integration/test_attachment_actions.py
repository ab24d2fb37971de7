"""Attachments are kept sealed, shown to whom their entry is shown, and removed when nobody used them."""

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio

from hub.messaging import actions, attachment_actions
from hub.messaging.attachment import AttachmentKind, Variant
from hub.messaging.model import Status
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from tests.integration.attachment_scene import CHOSEN, AttachmentScene
from tests.sample_file import GENUINE, HTML, MP3_FRAME, PDF, SVG, archive, bomb, photo, picture

NOBODY = "01890000-0000-7000-8000-000000000000"  # an id that no row has; fixed, because test names must be the same in every process


@pytest_asyncio.fixture
async def scene(database: Database, tmp_path: Path) -> AttachmentScene:
    await database.log.execute("DELETE FROM attachments")  # those of other tests, whose folders are others
    return AttachmentScene(database, tmp_path)


async def group_of_two(scene: AttachmentScene) -> tuple[str, str, str]:
    """A doctor, a patient, and their group."""
    patient = await scene.person()
    doctor, group = await scene.group(patient)
    return doctor, patient, group


async def purge_due(scene: AttachmentScene) -> list[str]:
    due = await attachment_actions.due_orphans(scene.database, scene.clock.now(), CHOSEN.orphan_s, 100)
    for each in due:
        await attachment_actions.purge(scene.attachments, each)
    return due


async def test_a_photo_is_kept_and_comes_back(scene: AttachmentScene) -> None:
    """Its dimensions are as seen, and both the original, untouched, and its thumbnail come back."""
    _, patient, group = await group_of_two(scene)
    kept = await scene.upload(patient, group, photo(), "化验单.JPG")

    assert (kept.kind, kept.media_type, kept.name) == ("image", "image/jpeg", "化验单.jpg")
    assert (kept.size, kept.width, kept.height, kept.thumbnail) == (len(photo()), 480, 640, True)
    assert await scene.fetch(patient, kept.id) == photo()
    assert (await scene.fetch(patient, kept.id, Variant.THUMBNAIL)).startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("sample", GENUINE)
async def test_every_accepted_type_is_kept(scene: AttachmentScene, sample: str) -> None:
    """Pictures, recordings, documents and text come back byte by byte; only pictures have a thumbnail."""
    media_type, content = GENUINE[sample]
    _, patient, group = await group_of_two(scene)
    kept = await scene.upload(patient, group, content)

    assert (kept.media_type, kept.thumbnail) == (media_type, media_type.startswith("image/"))
    assert await scene.fetch(patient, kept.id) == content


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (HTML, "photo.jpg", ErrorCode.UNSUPPORTED_MEDIA),
        (SVG, "photo.png", ErrorCode.UNSUPPORTED_MEDIA),
        (picture("GIF", mode="P") + archive("a.class"), "x.gif", ErrorCode.UNSUPPORTED_MEDIA),
        (archive("a.txt"), "x.docx", ErrorCode.UNSUPPORTED_MEDIA),
        (picture("PNG")[:-20], "x.png", ErrorCode.UNSUPPORTED_MEDIA),
        (bomb(50_000, 50_000), "x.png", ErrorCode.TOO_LARGE),
    ],
    ids=["html called jpg", "svg", "gif and zip", "zip called docx", "truncated png", "bomb"],
)
async def test_a_hostile_file_is_refused_and_nothing_is_kept(
    scene: AttachmentScene, content: bytes, name: str, code: ErrorCode
) -> None:
    """The name persuades nobody, and what is refused leaves no trace (P14)."""
    _, patient, group = await group_of_two(scene)
    with pytest.raises(Refusal) as refused:
        await scene.upload(patient, group, content, name)

    assert (refused.value.code, set(refused.value.fields)) == (code, {"file"})
    assert scene.files() == []


async def test_an_empty_file_is_refused(scene: AttachmentScene) -> None:
    """There is nothing to send (P14)."""
    _, patient, group = await group_of_two(scene)
    with pytest.raises(Refusal) as refused:
        await attachment_actions.upload(scene.attachments, patient, attachment_actions.Upload(b"", "x", group))

    assert refused.value.fields == {"file": "attachment_empty"}


async def test_a_kind_is_refused_when_the_content_is_another(scene: AttachmentScene) -> None:
    """A recording is not a picture, whatever was asked."""
    _, patient, group = await group_of_two(scene)
    with pytest.raises(Refusal):
        await scene.upload(patient, group, MP3_FRAME, kind=AttachmentKind.IMAGE)

    assert scene.files() == []


async def test_only_an_active_member_may_upload(scene: AttachmentScene) -> None:
    """A stranger, a former member and a made-up conversation get the same answer (P5)."""
    doctor, patient, group = await group_of_two(scene)
    stranger = await scene.person()
    await scene.remove(group, doctor, patient)

    for user, conversation in ((stranger, group), (patient, group), (doctor, new_id())):
        with pytest.raises(Refusal) as refused:
            await scene.upload(user, conversation)
        assert refused.value.code == ErrorCode.NOT_FOUND
    assert scene.files() == []


async def test_an_upload_is_refused_early_when_nothing_can_be_sent(scene: AttachmentScene) -> None:
    """A read-only conversation takes no entry, so it takes no upload either."""
    _, patient, group = await group_of_two(scene)
    await scene.database.log.execute("UPDATE conversations SET state = 'read_only' WHERE id = $1", group)
    with pytest.raises(Refusal) as refused:
        await scene.upload(patient, group)

    assert refused.value.code == ErrorCode.READ_ONLY


async def test_nothing_readable_is_at_rest(scene: AttachmentScene) -> None:
    """Neither the folder nor the row shows the content, the thumbnail or the name (P12)."""
    _, patient, group = await group_of_two(scene)
    words = "诊断：高血压二级".encode() * 20
    kept = await scene.upload(patient, group, words, "诊断书.txt")
    shot = await scene.upload(patient, group, photo(), "ward.jpg")
    stored = b"".join(path.read_bytes() for path in scene.files())

    assert len(scene.files()) == 3
    assert words[:24] not in stored
    assert b"JFIF" not in stored
    assert b"Hangzhou" not in stored
    for attachment in (kept, shot):
        assert "诊断" not in str(await scene.row(attachment.id))
        assert "ward" not in str(await scene.row(attachment.id))


async def test_the_key_is_the_patients_in_care_and_the_owners_elsewhere(scene: AttachmentScene) -> None:
    """Destroying one person's key erases what is about them, and only that (P12)."""
    doctor, patient, group = await group_of_two(scene)
    async with scene.database.transaction() as connection:
        care = await actions.open_care(
            scene.services, connection, source=new_id(), patient=patient, members=[doctor], title="陪诊"
        )
    about_patient = await scene.upload(doctor, care.conversation)
    of_doctor = await scene.upload(doctor, group)
    async with scene.database.transaction() as connection:
        await scene.sealer.destroy(connection, patient)

    with pytest.raises(Refusal) as erased:
        await scene.fetch(doctor, about_patient.id)
    assert (erased.value.code, erased.value.text) == (ErrorCode.NOT_FOUND, "erased")
    assert await scene.fetch(doctor, of_doctor.id)


async def test_an_unused_upload_is_seen_by_its_owner_only(scene: AttachmentScene) -> None:
    """Before it is sent, it is nobody else's business."""
    doctor, patient, group = await group_of_two(scene)
    kept = await scene.upload(patient, group)

    assert await scene.may_see(patient, kept.id)
    assert not await scene.may_see(doctor, kept.id)


async def test_members_see_what_an_entry_carries_and_strangers_do_not(scene: AttachmentScene) -> None:
    """The entry decides."""
    doctor, patient, group = await group_of_two(scene)
    attachment, _ = await scene.share(group, patient)

    assert await scene.may_see(doctor, attachment)
    assert await scene.may_see(patient, attachment)
    assert not await scene.may_see(await scene.person(), attachment)


async def test_a_removed_member_keeps_what_they_saw_and_gets_nothing_later(scene: AttachmentScene) -> None:
    """Links given before end with the membership too, where they reach past it (P5)."""
    doctor, patient, group = await group_of_two(scene)
    before, _ = await scene.share(group, doctor)
    assert await scene.may_see(patient, before)
    await scene.remove(group, doctor, patient)
    after, _ = await scene.share(group, doctor)

    assert await scene.may_see(patient, before)
    assert not await scene.may_see(patient, after)


async def test_a_newcomer_sees_attachments_from_their_first_entry_on(scene: AttachmentScene) -> None:
    """As with entries (P5)."""
    doctor, patient, group = await group_of_two(scene)
    attachment, seq = await scene.share(group, doctor)
    move = "UPDATE members SET from_seq = $1 WHERE conversation = $2 AND user_id = $3"
    await scene.database.log.execute(move, seq + 1, group, patient)
    assert not await scene.may_see(patient, attachment)

    await scene.database.log.execute(move, seq, group, patient)
    assert await scene.may_see(patient, attachment)


async def test_a_recalled_entry_takes_its_attachment_along(scene: AttachmentScene) -> None:
    """For its owner too, and for links given before."""
    doctor, patient, group = await group_of_two(scene)
    attachment, seq = await scene.share(group, patient)
    await scene.recall(group, patient, seq)

    assert not await scene.may_see(doctor, attachment)
    assert not await scene.may_see(patient, attachment)


async def test_a_suspended_user_sees_nothing_more(scene: AttachmentScene) -> None:
    """A link that was given before does not outlive the account."""
    _, patient, group = await group_of_two(scene)
    attachment, _ = await scene.share(group, patient)
    await scene.database.log.execute("UPDATE users SET status = 'suspended' WHERE id = $1", patient)

    assert not await scene.may_see(patient, attachment)


async def test_a_thumbnail_is_not_found_when_there_is_none(scene: AttachmentScene) -> None:
    """Only pictures have one."""
    _, patient, group = await group_of_two(scene)
    kept = await scene.upload(patient, group, PDF)
    with pytest.raises(Refusal) as refused:
        await scene.fetch(patient, kept.id, Variant.THUMBNAIL)

    assert refused.value.code == ErrorCode.NOT_FOUND


@pytest.mark.parametrize("attachment", [NOBODY, "x", ""])
async def test_an_unknown_attachment_is_not_found(scene: AttachmentScene, attachment: str) -> None:
    """Whether or not the id could name a row."""
    with pytest.raises(Refusal) as refused:
        await attachment_actions.link(scene.attachments, await scene.person(), attachment, Variant.ORIGINAL)

    assert refused.value.code == ErrorCode.NOT_FOUND


@pytest.mark.parametrize("damage", ["flipped", "swapped", "cut", "gone"])
async def test_a_damaged_object_is_not_found_rather_than_wrong(scene: AttachmentScene, damage: str) -> None:
    """Sealed bytes open only whole and in their own place (P12)."""
    _, patient, group = await group_of_two(scene)
    kept = await scene.upload(patient, group)
    original, thumbnail = scene.files()
    match damage:
        case "flipped":
            content = bytearray(original.read_bytes())
            content[-1] ^= 1
            original.write_bytes(content)
        case "swapped":
            original.write_bytes(thumbnail.read_bytes())
        case "cut":
            original.write_bytes(b"x")
        case "gone":
            original.unlink()
    with pytest.raises(Refusal) as refused:
        await scene.fetch(patient, kept.id)

    assert refused.value.code == ErrorCode.NOT_FOUND


@pytest.mark.parametrize("failing", ["put", "put thumbnail"])
async def test_nobody_is_told_of_an_upload_when_the_store_fails(scene: AttachmentScene, failing: str) -> None:
    """No row without its objects: the uploader is told to try again, and can (P15)."""
    _, patient, group = await group_of_two(scene)
    scene.store.failing = {failing}
    with pytest.raises(Refusal) as refused:
        await scene.upload(patient, group)

    assert refused.value.code == ErrorCode.UNAVAILABLE
    assert not await scene.database.log.fetch("SELECT 1 FROM attachments WHERE owner = $1", patient)
    scene.store.failing = set()
    assert await scene.upload(patient, group)


async def test_an_orphan_is_removed_after_its_time_and_never_before(scene: AttachmentScene) -> None:
    """An upload that no entry used for a day disappears, row and objects; what is used stays for ever."""
    doctor, patient, group = await group_of_two(scene)
    orphan = await scene.upload(patient, group)
    used, _ = await scene.share(group, patient)
    await scene.clock.advance(CHOSEN.orphan_s - 3600)
    await attachment_actions.purge(scene.attachments, orphan.id)
    assert await scene.may_see(patient, orphan.id)

    await scene.clock.advance(7200)
    await attachment_actions.purge(scene.attachments, used)
    assert await purge_due(scene) == [orphan.id]
    await attachment_actions.purge(scene.attachments, orphan.id)

    assert await scene.row(orphan.id) is None
    assert not await scene.may_see(patient, orphan.id)
    assert await scene.may_see(doctor, used)
    assert {path.name.removesuffix(".thumb") for path in scene.files()} == {used}
    assert await purge_due(scene) == []


async def test_an_interrupted_removal_is_finished_and_the_upload_cannot_be_sent_meanwhile(
    scene: AttachmentScene,
) -> None:
    """No entry ever carries an attachment whose objects are being deleted."""
    _, patient, group = await group_of_two(scene)
    orphan = await scene.upload(patient, group)
    await scene.clock.advance(CHOSEN.orphan_s + 60)
    scene.store.failing = {"delete"}
    with pytest.raises(Refusal):
        await attachment_actions.purge(scene.attachments, orphan.id)

    assert await scene.carry(group, patient, orphan.id) == (Status.NO_SUCH_ATTACHMENT, None)
    assert not await scene.may_see(patient, orphan.id)
    scene.store.failing = set()
    assert await purge_due(scene) == [orphan.id]
    assert (await scene.row(orphan.id), scene.files()) == (None, [])


async def test_sending_and_removing_at_the_same_time_end_in_one_of_the_two(scene: AttachmentScene) -> None:
    """Either the entry was appended and the attachment is whole, or it was refused and the attachment is gone."""
    doctor, patient, group = await group_of_two(scene)
    orphans = [(await scene.upload(patient, group, PDF)).id for _ in range(24)]
    await scene.clock.advance(CHOSEN.orphan_s + 60)
    sending = [scene.carry(group, patient, each) for each in orphans]
    purging = [attachment_actions.purge(scene.attachments, each) for each in orphans]
    sent, _ = await asyncio.gather(asyncio.gather(*sending), asyncio.gather(*purging))

    for each, (status, _) in zip(orphans, sent, strict=True):
        assert status in (Status.NEW, Status.NO_SUCH_ATTACHMENT)
        assert await scene.may_see(doctor, each) == (status == Status.NEW)


async def test_due_orphans_come_in_bounded_portions_with_the_oldest_first(scene: AttachmentScene) -> None:
    """One sweep takes what it can do."""
    _, patient, group = await group_of_two(scene)
    ids = [(await scene.upload(patient, group, PDF)).id for _ in range(3)]
    await scene.clock.advance(CHOSEN.orphan_s + 60)
    due = await attachment_actions.due_orphans(scene.database, scene.clock.now(), CHOSEN.orphan_s, 2)

    assert due == ids[:2]
    assert len(await purge_due(scene)) == 3
