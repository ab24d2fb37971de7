"""Where lines come from: whatever stdin is, each is a line, and the end is an end."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from clients.terminal.screen import open_screen

SAID = "/open 1\n明天见\n没有换行".encode()


def a_file(folder: Path) -> TextIO:
    (folder / "lines").write_bytes(SAID)
    return (folder / "lines").open()


def a_pipe(_: Path) -> TextIO:
    reading, writing = os.pipe()
    os.write(writing, SAID)
    os.close(writing)
    return os.fdopen(reading)


def nothing(_: Path) -> TextIO:
    return Path(os.devnull).open()


async def lines() -> list[str]:
    found = []
    async with open_screen() as screen, asyncio.timeout(5):
        while (line := await screen.ask()) is not None:
            found.append(line)
    return found


@pytest.mark.parametrize(
    ("build", "expected"),
    [(a_file, SAID.decode().split("\n")), (a_pipe, SAID.decode().split("\n")), (nothing, [])],
)
async def test_lines_are_read_to_their_end(
    build: Callable[[Path], TextIO], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe is waited for; a file or /dev/null, which the loop cannot watch, is read all the same."""
    with build(tmp_path) as source:
        monkeypatch.setattr(sys, "stdin", source)

        assert await lines() == expected


async def test_closed_stdin_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """`hub chat <&-` leaves at once."""
    monkeypatch.setattr(sys, "stdin", None)

    assert await lines() == []
