"""An OpenAI-compatible service as a small real HTTP server: keeps all that it received, and has its moods."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

MODEL = "test-model"
API_KEY = "ai-secret"
ANSWER: dict[str, Any] = {
    "interpretation": "白细胞略高，多见于感染。",
    "confidence": 0.83,
    "suggestions": ["多喝水", "一周后复查"],
}

# Mood → what the model says, with HTTP 200 and otherwise well-formed.
_SAYS = {
    "fenced": f"```json\n{json.dumps(ANSWER, ensure_ascii=False)}\n```",
    "prose": "您好！我认为白细胞略高。",
    "sure": json.dumps({**ANSWER, "confidence": 1.5}),
    "incomplete": json.dumps({"interpretation": "白细胞"}),
    "empty": json.dumps({**ANSWER, "interpretation": ""}),
    "wordy": json.dumps({**ANSWER, "interpretation": "很" * 7000}),
}
MALFORMED = ("prose", "sure", "incomplete", "empty", "wordy", "garbage", "nothing", "deep")


class OpenAiStandin:
    """`with OpenAiStandin() as ai:` serves on `ai.url`.

    `mood`: one of those above; `busy` 429, `broken` 500, `refused` 401; `garbage`, `nothing`, `deep` (nested without end),
    `long` (cut by its own limit), `endless` (a body that never ends), `silent` (no answer until the end), `slow` (a byte now and then).
    """

    def __init__(self) -> None:
        self.mood = ""
        self.tokens: int | None = 900
        self.received: list[str] = []
        self.authorization: list[str | None] = []
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

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

    def reply(self) -> tuple[int, bytes]:
        match self.mood:
            case "busy":
                return 429, b'{"error": {"message": "Rate limit reached"}}'
            case "broken":
                return 500, b"oops"
            case "refused":
                return 401, b'{"error": {"message": "Incorrect API key"}}'
            case "garbage":
                return 200, b"<html>"
            case "nothing":
                return 200, b'{"choices": []}'
            case "deep":
                return 200, b'{"choices": ' + b"[" * 50_000
        said = _SAYS.get(self.mood, json.dumps(ANSWER, ensure_ascii=False))
        finish = "length" if self.mood == "long" else "stop"
        answer: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": MODEL,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": finish}],
        }
        if self.tokens is not None:
            answer["usage"] = {
                "prompt_tokens": self.tokens - 100,
                "completion_tokens": 100,
                "total_tokens": self.tokens,
            }
        return 200, json.dumps(answer).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                standin.received.append(body.decode())
                standin.authorization.append(self.headers.get("Authorization"))
                if standin.mood == "silent":
                    standin._released.wait()
                    return
                status, answer = standin.reply() if self.path == "/v1/chat/completions" else (404, b"")
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self._write(answer)

            def _write(self, answer: bytes) -> None:
                try:
                    while standin.mood == "endless":
                        self.wfile.write(b" " * 10_000)
                    while standin.mood == "slow" and not standin._released.wait(0.02):
                        self.wfile.write(b" ")
                    self.wfile.write(answer)
                except OSError:
                    return  # the client has left

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

        return Handler
