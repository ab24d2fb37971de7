"""Request timers: every answer is counted under its route, never under an id."""

import httpx

from hub.platform.identifier import new_id
from tests.integration.wire import Server


async def test_requests_are_timed_by_route(hub: Server) -> None:
    """`/metrics` tells method, route and status of what was answered; ids stay out of it."""
    person, conversation = await hub.person(), new_id()
    headers = {"Authorization": f"Bearer {hub.token(person)}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{hub.port}") as client:
        await client.get(f"/api/v1/conversations/{conversation}", headers=headers)
        metrics = (await client.get("/metrics")).text

    assert (
        'hub_http_request_seconds_count{method="GET",route="/api/v1/conversations/{conversation}",status="404"}'
        in metrics
    )
    assert conversation not in metrics
