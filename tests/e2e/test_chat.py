"""`hub chat` in a pipe: two people talk, and each sees what the other does."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import randbelow

import httpx

from clients.terminal.account import Account

ROOT = Path(__file__).parents[2]
DOCTOR = "13820000003"
CHAT = "import sys; from clients.terminal.chat import run; sys.exit(run(sys.argv[1], sys.argv[2], None, sys.argv[3]))"


class Talker:
    """One `hub chat` without a terminal."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    async def sees(self, text: str) -> str:
        """Wait for a line with this in it."""
        assert self._process.stdout is not None
        seen = []
        async with asyncio.timeout(20):
            while line := (await self._process.stdout.readline()).decode():
                seen.append(line)
                if text in line:
                    return line
        raise AssertionError(f"no {text!r} in {seen}")

    async def leave(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(20):
            return await self._process.wait()


@asynccontextmanager
async def talker(url: str, phone: str, conversation: str) -> AsyncIterator[Talker]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHAT,
        url,
        phone,
        conversation,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Talker(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_two_people_talk_in_two_pipes(server_url: str) -> None:
    """History, entries, edits, recalls, receipts and presence arrive as lines; leaving waits for the last ack."""
    phone = f"139{randbelow(10**8):08d}"
    async with httpx.AsyncClient() as http:
        doctor = await Account.sign_in(http, server_url, DOCTOR)
        patient = await Account.sign_in(http, server_url, phone)
        await patient.signed("PATCH", "/users/me", {"name": "王小明"})
        group = {"kind": "group", "title": "复诊安排", "members": [patient.user["id"]]}
        conversation = (await doctor.post("/conversations", group))["id"]
    async with talker(server_url, phone, conversation) as one, talker(server_url, DOCTOR, conversation) as two:
        await one.sees("创建了会话：复诊安排")
        await two.sees("创建了会话：复诊安排")
        await one.write("医生，明天要空腹吗？")
        await two.sees("王小明：医生，明天要空腹吗？")
        await one.sees("#2 已读")
        await two.write("不用空腹")
        await one.sees("：不用空腹")
        await two.write("/edit 3 不用空腹，正常吃早饭")
        await one.sees("修改了 #3：不用空腹，正常吃早饭")
        await two.write("/recall 3")
        await one.sees("撤回了 #3")
        await one.write("/recall 99")
        await one.sees("未成功")
        await one.write("谢谢医生")

        assert await one.leave() == 0
        await two.sees("王小明：谢谢医生")
        await two.sees("王小明 离线了")
        assert await two.leave() == 0
