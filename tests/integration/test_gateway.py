"""The sockets of one node: who must go and why, and how they are asked to move."""

import asyncio

from tests.integration.conftest import Serve
from tests.integration.test_engine import HELLO, RawClient, client_frame
from tests.integration.wire import Server


async def test_a_newer_socket_replaces_the_oldest_beyond_the_limit(serve: Serve) -> None:
    """4509: do not come back; the others stay. A crowd of new ones at once does not exceed the limit either."""
    async with serve(realtime={"sockets_per_user": 2}) as hub:
        user = await hub.person()
        devices = [await hub.device(user) for _ in range(2)]
        other = await hub.device(await hub.person())
        devices += [await hub.socket(user) for _ in range(5)]
        for device in devices[2:]:
            await device.say("hello")
        gone = [await device.closed() for device in devices[:5]]
        await hub.connections(3)

        assert gone == [(4509, "Too many connections; a newer one replaced this")] * 5
        for device in (*devices[5:], other):
            assert {frame["op"] for frame in await device.so_far()} <= {"welcome"}


async def test_a_socket_without_hello_is_closed(serve: Serve) -> None:
    """4408; one that has said it stays, also after a later hello was refused."""
    async with serve(realtime={"hello_timeout_s": 0.1}) as hub:
        user = await hub.person()
        device = await hub.device(user)
        silent = await hub.socket(user)

        assert await silent.closed() == (4408, "No hello frame arrived in time")
        assert (await device.ask("hello", since="never"))["code"] == "invalid"
        late = await hub.socket(user)
        assert (await late.closed())[0] == 4408
        assert await device.so_far() == []


async def test_a_peer_that_is_gone_is_noticed_and_one_that_answers_is_not(serve: Serve) -> None:
    """Half of the silence: a ping. All of it: 4002. A pong is a sign of life."""
    async with serve(realtime={"silence_s": 2.2}) as hub:
        living = await hub.device(await hub.person())
        dead = await RawClient.dial(hub, await hub.person(), client_frame(1, HELLO))  # type: ignore[arg-type]
        await dead.next()

        assert await dead.close_code() == 4002
        assert await living.so_far() == []


async def test_a_leaving_node_asks_its_sockets_to_move(serve: Serve) -> None:
    """A jittered moment for each; the socket serves until then; those that stay are closed, and nobody new comes in."""
    async with serve(server={"drain_s": 1.0}) as hub:
        user = await hub.person()
        room = await hub.conversation(user)
        obeys, stays = await hub.device(user), await hub.device(user, packed=True)
        assert hub.uvicorn is not None
        hub.uvicorn.should_exit = True
        drains = [await device.hear("drain") for device in (obeys, stays)]
        assert (await obeys.send(room))["op"] == "ack"
        await obeys.connection.close()

        assert all(0 <= frame["reconnectAfterMs"] <= 800 for frame in drains)
        assert await stays.closed() == (4000, "The server is being updated; reconnect shortly")


async def test_many_people_come_and_go_without_a_trace(hub: Server) -> None:
    """Registry, subscriptions and watches are empty when the last has gone."""
    people = await hub.people(4)
    large = await hub.conversation(*people)
    devices = [await hub.device(user, {large: 0}) for user in people for _ in range(3)]
    for device in devices:
        assert (await device.ask("watch", users=people))["op"] == "ok"
    for device in devices[::2]:
        device.connection.transport.abort()
    await asyncio.gather(*(device.connection.close() for device in devices[1::2]))
    await hub.connections(0)

    node = hub.parts.node
    assert node.broker.open_subscriptions == 0
    assert len(node.gateway._registry) == 0
    assert node.gateway._registry.channels("") == []
    assert node.presence._watched == {}
    assert node.gateway._rooms._rooms == {}
