"""Where lines come from and go to: a prompt that stays at the bottom of a terminal, or plain lines in a pipe."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout

LINE_BYTES = 1 << 16


class Screen(Protocol):
    """`on_typing` is called while the person writes what is not a command; `status` is a short line about now."""

    on_typing: Callable[[], None]

    def say(self, line: str) -> None: ...

    def status(self, line: str) -> None: ...

    async def ask(self, question: str = "") -> str | None:
        """The next line, or None when there are no more."""


class PromptScreen:
    """A terminal: what arrives is printed above the line that is being written."""

    def __init__(self) -> None:
        self.on_typing: Callable[[], None] = lambda: None
        self._status = ""
        self._session: PromptSession[str] = PromptSession(
            erase_when_done=True, bottom_toolbar=lambda: self._status or None, refresh_interval=0.5
        )
        self._session.default_buffer.on_text_changed += lambda buffer: self._changed(buffer.text)

    def _changed(self, text: str) -> None:
        if text and not text.startswith("/"):
            self.on_typing()

    def say(self, line: str) -> None:
        print(line)

    def status(self, line: str) -> None:
        self._status = line
        self._session.app.invalidate()

    async def ask(self, question: str = "") -> str | None:
        try:
            return await self._session.prompt_async(f"{question}> ")
        except (EOFError, KeyboardInterrupt):
            return None


class PlainScreen:
    """No terminal: each line of input is a line of the conversation, each line of output is complete."""

    def __init__(self, next_line: Callable[[], Awaitable[bytes]]) -> None:
        self.on_typing: Callable[[], None] = lambda: None
        self._next_line = next_line

    def say(self, line: str) -> None:
        print(line, flush=True)

    def status(self, line: str) -> None:
        if line:
            self.say(f"  {line}")

    async def ask(self, question: str = "") -> str | None:
        if question:
            self.say(question)
        line = await self._next_line()
        return line.decode(errors="replace").rstrip("\r\n") if line else None


@asynccontextmanager
async def open_screen() -> AsyncIterator[Screen]:
    """The terminal if there is one at both ends, else plain lines."""
    source: TextIO | None = sys.stdin  # None when it is closed
    if source is None:
        yield PlainScreen(_nothing)
    elif source.isatty() and sys.stdout is not None and sys.stdout.isatty():
        with patch_stdout():
            yield PromptScreen()
    elif _may_keep_waiting(source):
        lines = asyncio.StreamReader(limit=LINE_BYTES)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), source)
        try:
            yield PlainScreen(lines.readline)
        finally:
            transport.close()
    else:
        yield PlainScreen(lambda: asyncio.to_thread(source.buffer.readline, LINE_BYTES))


async def _nothing() -> bytes:
    return b""


def _may_keep_waiting(source: TextIO) -> bool:
    """A pipe, a socket or a terminal, which the loop can wait for; it cannot for files, which in turn are always ready."""
    mode = os.fstat(source.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or source.isatty()
