"""How long requests take, by route: what `/metrics` says of the API."""

import time

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Histogram

REQUESTS = Histogram(
    "hub_http_request_seconds",
    "Time from a request's head to the head of its answer",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)


class RequestTimer(ASGIMiddleware):
    """Measures until the answer begins, so that a stream counts by its start. Ids are not in the labels: the route is."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        began = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = str(scope.get("path_template", "unknown"))
                REQUESTS.labels(str(scope.get("method")), route, message["status"]).observe(time.perf_counter() - began)
            await send(message)

        await next_app(scope, receive, timed)
