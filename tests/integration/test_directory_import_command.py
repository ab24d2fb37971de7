"""`hub import`: exit status and lines that a person understands; the same all-or-nothing as over HTTP."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from hub.directory import import_command
from hub.directory.import_kind import KINDS
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.identifier import new_id

HEADER = "医院编码,医院名称,城市\n"


@pytest.fixture
def chosen(database_url: str, redis_url: str) -> settings.Settings:
    return settings.Settings(
        database=settings.Database(url=database_url), redis=settings.Redis(url=redis_url, prefix=f"test-{new_id()}")
    )


@pytest.fixture
def code() -> str:
    return f"H{new_id()[-10:]}"


async def bring(
    chosen: settings.Settings, file: Path, *, dry_run: bool = False, errors: Path | None = None
) -> tuple[bool, list[str]]:
    """In a thread, because the command has an event loop of its own."""
    said: list[str] = []
    sound = await asyncio.to_thread(
        import_command.import_file, chosen, "hospitals", file, dry_run=dry_run, errors=errors, echo=said.append
    )
    return sound, said


async def stored(database: Database, code: str) -> int:
    async with database.transaction() as connection:
        query = text("SELECT count(*) FROM hospitals WHERE code LIKE :code")
        return int(await connection.scalar(query, {"code": f"{code}%"}) or 0)


async def test_file_is_imported(chosen: settings.Settings, database: Database, tmp_path: Path, code: str) -> None:
    """And what was done is said in one line; a dry run does nothing."""
    file = tmp_path / "医院.csv"
    file.write_text(f"{HEADER}{code}a,甲,北京\n{code}b,乙,上海\n", encoding="gb18030")

    assert await bring(chosen, file, dry_run=True) == (
        True,
        ["共 2 行：新增 2，修改 0，未变 0，移除 0（试运行，未保存）"],
    )
    assert await stored(database, code) == 0
    assert await bring(chosen, file) == (True, ["共 2 行：新增 2，修改 0，未变 0，移除 0"])
    assert await stored(database, code) == 2


async def test_errors_are_listed_and_written(
    chosen: settings.Settings, database: Database, tmp_path: Path, code: str
) -> None:
    """With line and reason; the file of errors runs nothing in a spreadsheet."""
    file, errors = tmp_path / "hospitals.csv", tmp_path / "errors.csv"
    file.write_text(f"{HEADER}{code},甲,北京\n=1+1,乙,上海\n")
    sound, said = await bring(chosen, file, errors=errors)

    assert not sound
    assert said[0].startswith("第 3 行 医院编码 “=1+1”：")
    assert said[-1] == "共 2 行，没有导入任何内容"
    assert "'=1+1" in errors.read_text(encoding="utf-8-sig")
    assert await stored(database, code) == 0


async def test_what_is_no_file_of_ours_is_one_line(
    chosen: settings.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workbook, and a file too large to be read."""
    file = tmp_path / "hospitals.csv"
    file.write_bytes(b"PK\x03\x04")
    sound, said = await bring(chosen, file)
    monkeypatch.setattr(import_command, "MAX_BYTES", 3)

    assert (sound, len(said)) == (False, 1)
    assert said[0].startswith("请上传 CSV 文件")
    assert (await bring(chosen, file))[0] is False


async def test_command_line_has_the_four_kinds(
    chosen: settings.Settings, database: Database, tmp_path: Path, code: str
) -> None:
    """As a process: exit status 0 when all is imported, 1 when the file has errors."""
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(f"{HEADER}{code},甲,北京\n")
    bad.write_text(f"{HEADER}{code},,北京\n")
    environment = os.environ | {
        "HUB__DATABASE__URL": chosen.database.url,
        "HUB__REDIS__URL": chosen.redis.url,
        "HUB__DATA__DIR": str(tmp_path),
    }

    async def hub(*arguments: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hub", "import", *arguments, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    assert await hub("hospitals", str(good)) == (0, "共 1 行：新增 1，修改 0，未变 0，移除 0\n")
    status, said = await hub("hospitals", str(bad), "--dry-run")
    assert (status, said.splitlines()[0]) == (1, "第 2 行 医院名称 “”：必填")
    status, said = await hub("--help")
    assert f"[{'|'.join(KINDS)}]" in said.replace("\n", "") or all(kind in said for kind in KINDS)
    assert await stored(database, code) == 1
