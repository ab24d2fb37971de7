"""The command line. Each command imports what it needs when it runs, so that `hub --help` is quick."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TextIO

import msgspec
import rich_click as click

from hub.broadcast_cli import broadcasts
from hub.notice_cli import notices
from hub.platform.settings import BadSettings, Settings, load
from hub.platform.supervisor import describe
from hub.schedule_cli import due

# What a person can put right by reading one line; anything else is a bug and shows its traceback.
_OUTSIDE = ("asyncpg", "sqlalchemy", "redis")


Loops = Callable[[], asyncio.AbstractEventLoop]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def cli(context: click.Context) -> None:
    """A real-time messaging and notification hub. Settings come from config.toml, then from HUB__SECTION__KEY."""
    context.obj = _resolved


cli.add_command(notices)
cli.add_command(broadcasts)
cli.add_command(due)


@cli.command()
def up() -> None:
    """Everything on this machine: databases, servers, worker, scheduler and a demo."""
    from hub.up import up

    _run(up(_settings(), click.echo))


@cli.command()
@click.option("--share-port", is_flag=True, help="Let several processes listen on the same port (SO_REUSEPORT).")
def serve(share_port: bool) -> None:
    """One server process."""
    from hub.app import run

    run(_resolved(), reuse_port=share_port)


@cli.command()
def work() -> None:
    """One worker: does what waits in the queue."""
    from workers.worker import run

    _run(run(_resolved()), _uvloop())


@cli.command()
@click.option(
    "--status", is_flag=True, help="How those that run are doing. Exit status 1 if nobody has done anything for 30 s."
)
def schedule(status: bool) -> None:
    """One scheduler: looks for what is due. Any number may run."""
    from hub.schedule.command import show_status
    from scheduler.ticker import run

    if status:
        sys.exit(0 if show_status(_resolved()) else 1)

    _run(run(_resolved()), _uvloop())


@cli.command()
@click.argument("revision", default="head")
def migrate(revision: str) -> None:
    """Bring the database's schema to a revision (default: the newest)."""
    from hub.platform.database import migrate

    _run(migrate(_resolved().database, revision))
    click.echo(f"the database is at {revision}")


@cli.command()
def seed() -> None:
    """Fill the database with the demo; does nothing if it is there."""
    from hub.demo import seed

    click.echo(asyncio.run(seed(_resolved())) or "the demo is there already")


@cli.command()
@click.option("--phone", default="13800000001", show_default=True, help="Whose conversations to show.")
def demo(phone: str) -> None:
    """Who is in the demo, and what they talk about."""
    from hub.demo import describe

    click.echo(asyncio.run(describe(_resolved(), phone)))


@cli.command("import")
@click.argument("kind", type=click.Choice(["hospitals", "departments", "doctors", "schedules"]))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything and save nothing.")
@click.option("--errors", type=click.Path(dir_okay=False, path_type=Path), help="Write the errors to this CSV file.")
def import_file(kind: str, file: Path, dry_run: bool, errors: Path | None) -> None:
    """Bring a CSV file into the directory: all of its lines, or none and what is wrong with them."""
    from hub.directory.import_command import import_file

    sound = import_file(_resolved(), kind, file, dry_run=dry_run, errors=errors, echo=click.echo)
    sys.exit(0 if sound else 1)


@cli.command()
def doctor() -> None:
    """Check this installation, and say what is wrong and what to do."""
    from hub.doctor import examine

    sys.exit(asyncio.run(examine(click.echo)))


@cli.group()
def keys() -> None:
    """The keys that seal what people write."""


@keys.command()
def rotate() -> None:
    """Seal every data key with the first master key; older master keys can be removed afterwards."""
    from hub.platform.database import open_database
    from hub.security.keyring import load_keyring
    from hub.security.rotation import OutdatedMasterKey
    from hub.security.sealing import Sealer

    settings = _resolved()

    async def rotate() -> int:
        async with open_database(settings.database) as database:
            return await Sealer(load_keyring(settings), database).rotate()

    try:
        click.echo(f"{asyncio.run(rotate())} data keys were sealed again")
    except OutdatedMasterKey as error:
        raise click.ClickException(str(error)) from error


@cli.group()
def audit() -> None:
    """Who looked at whose health data: the chains that record it."""


@audit.command("verify")
@click.option("--heads", "noted", type=click.File(), help="What `hub audit heads` printed before: it must still hold.")
def verify_audit(noted: TextIO | None) -> None:
    """Check every row, every link and where each chain stands. Exit status 1 if anything was tampered with."""
    from hub.security import audit_check

    try:
        heads = audit_check.noted(noted.read()) if noted else {}
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--heads") from error
    outcome = asyncio.run(audit_check.verify_all(_resolved(), heads))
    click.echo(audit_check.described(outcome))
    sys.exit(1 if outcome.findings else 0)


@audit.command("heads")
def audit_heads() -> None:
    """Where each chain stands, for keeping elsewhere: what was noted cannot be taken away unnoticed."""
    from hub.security import audit_check

    click.echo(audit_check.note(asyncio.run(audit_check.heads_of(_resolved()))), nl=False)


@cli.command()
@click.option("--url", default="", help="The server; default: the one of the settings.")
@click.option("--phone", required=True, help="Who signs in, e.g. 13800000001.")
@click.option("--code", default=None, help="The SMS code, when the server does not answer it.")
@click.option("--conversation", default=None, help="Open this conversation at once.")
def chat(url: str, phone: str, code: str | None, conversation: str | None) -> None:
    """Talk in the terminal."""
    from clients.terminal.chat import run
    from hub.up import address

    sys.exit(run(url or address(_settings().server), phone, code, conversation))


def main() -> None:
    """Run a command. What a person can put right is one line and exit status 2."""
    try:
        cli(prog_name="hub")
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        click.echo(f"hub: {line}", err=True)
        sys.exit(2)


def explain(error: BaseException) -> str | None:
    """The one line for an error that has its cause outside of the program; None for a bug."""
    from hub.platform.embedded import NotRunning, ServerFailed

    if isinstance(error, BadSettings | NotRunning | ServerFailed):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] not in (
        "hub",
        "workers",
        "scheduler",
    ):
        return f"the Python package {error.name} is missing: run ./dev up, it installs what is pinned"
    if isinstance(error, OSError) or type(error).__module__.split(".")[0] in _OUTSIDE:
        return f"{describe(error)}; ./dev hub doctor looks for the cause"
    return None


def _settings() -> Settings:
    """The settings, with an absolute data folder, and logging as they say."""
    from hub.platform.telemetry import configure_logging

    settings = load()
    configure_logging(settings.log)
    data = msgspec.structs.replace(settings.data, dir=str(Path(settings.data.dir).resolve()))
    return msgspec.structs.replace(settings, data=data)


def _resolved() -> Settings:
    """The settings with the addresses of a database and a Redis that run."""
    from hub.platform.embedded import resolve

    return resolve(_settings())


def _run(work: Awaitable[None], loops: Loops | None = None) -> None:
    """Run until it ends, or until SIGINT or SIGTERM, which ask it to end: a second one changes nothing."""

    async def until_signalled() -> None:
        task = asyncio.current_task()
        assert task is not None

        def stop() -> None:
            if not task.cancelling():
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        with contextlib.suppress(asyncio.CancelledError):
            await work

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(until_signalled())


def _uvloop() -> Loops | None:
    """Where it is installed: a worker's calls cost it a third less. Not for `up`: it cannot start children as another user."""
    try:
        import uvloop
    except ModuleNotFoundError:  # Windows
        return None
    return uvloop.new_event_loop
