"""WeChat's code2session as a small real HTTP server: codes good for one use, its quota, and its moods."""

import json
import secrets
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

APP_ID = "wx-test"
APP_SECRET = "wechat-secret"
CALLS_PER_MINUTE = 100


class WechatStandin:
    """`with WechatStandin() as wechat:` serves on `wechat.url`. `mood`: busy, broken, garbage or silent."""

    def __init__(self) -> None:
        self.mood = ""
        self.queries: list[dict[str, str]] = []
        self._openids: dict[str, str] = {}
        self._calls: Counter[str] = Counter()
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def code_for(self, openid: str) -> str:
        """What `wx.login` gives to this person's mini-program."""
        code = secrets.token_hex(16)
        self._openids[code] = openid
        return code

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, query: dict[str, str]) -> dict[str, object]:
        """HTTP 200 whatever happened; the error code is in the body."""
        self.queries.append(query)
        if self.mood == "busy":
            return {"errcode": -1, "errmsg": "system error"}
        if query.get("appid") != APP_ID or query.get("secret") != APP_SECRET:
            return {"errcode": 40125, "errmsg": "invalid appsecret, rid: 1"}
        openid = self._openids.pop(query.get("js_code", ""), None)
        if openid is None:
            return {"errcode": 40029, "errmsg": "invalid code, rid: 1"}
        self._calls[openid] += 1
        if self._calls[openid] > CALLS_PER_MINUTE:
            return {"errcode": 45011, "errmsg": "api minute-quota reach limit, rid: 1"}
        return {"openid": openid, "session_key": "a2V5", "unionid": f"union-{openid}"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(address.query).items()}
                if standin.mood == "silent":
                    standin._released.wait()
                    return
                body = json.dumps(standin.answer(query)).encode()
                broken = standin.mood == "broken" or address.path != "/sns/jscode2session"
                self.send_response(502 if broken else 200)
                self.send_header("Content-Length", str(len(body) if standin.mood != "garbage" else 1))
                self.end_headers()
                self.wfile.write(body if standin.mood != "garbage" else b"<")

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

        return Handler
