"""The sockets of one node: who may come, how they are ended, and that nothing of them remains."""

from tests.integration.wire import Server


async def test_first(hub: Server) -> None:
    a, b = await hub.people(2)
    room = await hub.conversation(a, b)
    one, two = await hub.device(a), await hub.device(b, packed=True)
    ack = await one.send(room, "hi")
    assert ack["seq"] == 1
    assert (await two.hear("entry"))["body"] == {"text": "hi"}
    async with hub.statements() as said:
        await one.send(room, "hi2")
        await one.so_far()
    print(said)
