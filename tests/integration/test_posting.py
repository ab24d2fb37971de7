"""What the hub says to many at once: one append, each where they read it, nothing twice, nothing to the erased."""

import pytest

from hub.messaging.model import SystemBody
from hub.messaging.posting import Post, post_all
from hub.platform.database import Database
from hub.platform.error import Refusal
from hub.platform.identifier import new_id
from tests.integration.scene import Scene

BODY = SystemBody(event="reminder", note="请按时到院")


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


async def said(scene: Scene, user: str, conversation: str) -> list[str]:
    return [entry.client_msg_id for entry in await scene.seen(user, conversation)]


async def test_many_get_it_in_one_append(scene: Scene) -> None:
    """Into inboxes old and new, and into a conversation; those that were opened are told first. P3: a repetition adds nothing."""
    first, second, third = [await scene.person() for _ in range(3)]
    _, group = await scene.group(first)
    async with scene.database.transaction() as connection:
        await post_all(scene.services, connection, [Post(user=first, body=BODY, name="earlier")])
    posts = [Post(user=user, body=BODY, name="now") for user in (first, second, third)]
    posts.append(Post(conversation=group, body=BODY, name="now"))
    async with scene.database.transaction() as connection:
        opened, posted = await post_all(scene.services, connection, posts)
    places = [each.outcome.conversation for each in posted if each.outcome]
    async with scene.database.transaction() as connection:
        again, repeated = await post_all(scene.services, connection, posts)

    assert {change.user for outcome in opened for change in outcome.changes} == {second, third}
    assert await said(scene, first, places[0]) == ["earlier", "now"]
    assert [await said(scene, user, place) for user, place in zip((second, third), places[1:3], strict=True)] == [
        ["now"],
        ["now"],
    ]
    assert (await said(scene, first, group))[-1] == "now"
    assert (again, [each.outcome.entries for each in repeated if each.outcome]) == ((), [[]] * 4)


async def test_nothing_is_said_to_the_erased(scene: Scene) -> None:
    """P12: nothing can be sealed for them; the others get theirs."""
    erased, other = await scene.person(), await scene.person()
    async with scene.database.transaction() as connection:
        await scene.services.sealer.destroy(connection, erased)
    async with scene.database.transaction() as connection:
        _, posted = await post_all(
            scene.services, connection, [Post(user=user, body=BODY, name="now") for user in (erased, other)]
        )

    assert posted[0].outcome is None
    assert posted[1].outcome is not None
    assert len(posted[1].outcome.entries) == 1


async def test_same_name_for_something_else_is_refused(scene: Scene) -> None:
    """P3: a client id stands for one body, for ever."""
    user = await scene.person()
    async with scene.database.transaction() as connection:
        await post_all(scene.services, connection, [Post(user=user, body=BODY, name="now")])
    with pytest.raises(Refusal):
        async with scene.database.transaction() as connection:
            await post_all(scene.services, connection, [Post(user=user, body=SystemBody(event="other"), name="now")])


async def test_unknown_conversation_gets_nothing(scene: Scene) -> None:
    """It may have been a mistake, and holds nobody else up."""
    user = await scene.person()
    async with scene.database.transaction() as connection:
        _, posted = await post_all(
            scene.services,
            connection,
            [Post(conversation=new_id(), body=BODY, name="now"), Post(user=user, body=BODY, name="now")],
        )

    assert [each.outcome is None for each in posted] == [True, False]
