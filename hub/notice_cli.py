"""`hub notices` on the command line. As in `hub.cli`, which hands down how to get the settings, what is needed is imported when it runs."""

import sys
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, Literal

import rich_click as click

from hub.platform.settings import Settings

# As in `hub.notices.model`, which would make `--help` slow.
ENDS = ("failed", "expired", "unconfirmed", "suppressed")
STATES = ("open", "seen", "delivered", "superseded", *ENDS)

Resolve = Callable[[], Settings]


@click.group()
def notices() -> None:
    """What was to reach people: looking, exporting, and trying again what came to nothing."""


@notices.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--class", "class_", help="Only of this class, e.g. chat.")
@click.option("--user", help="Only for this person.")
@click.option("--conversation", help="Only about this conversation.")
@click.option("--broadcast", help="Only of this broadcast.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True)
@click.pass_obj
def list_notices(resolved: Resolve, /, limit: int, **search: str | None) -> None:
    """The newest first, a line each."""
    from hub.notices import ledger_command

    sys.exit(0 if ledger_command.list_notices(resolved(), search, limit, click.echo) else 1)


@notices.command("show")
@click.argument("id")
@click.pass_obj
def show_notice(resolved: Resolve, id: str) -> None:
    """The whole story of one: the socket, and every step of its ladder with its calls."""
    from hub.notices import ledger_command

    sys.exit(0 if ledger_command.show_notice(resolved(), id, click.echo) else 1)


@notices.command("retry")
@click.option("--state", type=click.Choice(ENDS), help="All that ended so.")
@click.option("--class", "class_", help="Of them, only those of this class.")
@click.option("--since", help="Of them, only those made within this time: 90s, 30m, 1h, 7d.")
@click.option("--id", "notice", help="This one alone.")
@click.option(
    "--force-unknown", is_flag=True, help="Send again also what may have arrived, where the channel cannot tell."
)
@click.pass_obj
def retry_notices(
    resolved: Resolve,
    state: str | None,
    class_: str | None,
    since: str | None,
    notice: str | None,
    force_unknown: bool,
) -> None:
    """Begin the ladder anew for one notice, or for all that ended in a state. What was seen is left alone."""
    from hub.notices import ledger_command

    if (notice is None) == (state is None):
        raise click.UsageError("name either --id or --state")
    if notice is not None and (class_ or since):
        raise click.UsageError("--class and --since go with --state")
    since_s = None if since is None else ledger_command.seconds_of(since)
    if since is not None and since_s is None:
        raise click.BadParameter("a number with s, m, h or d, as in 1h", param_hint="--since")
    wanted = (state, class_, since_s)
    done = ledger_command.retry_notices(resolved(), wanted, notice, force_unknown=force_unknown, echo=click.echo)
    sys.exit(0 if done else 1)


@notices.command("export")
@click.option("--from", "since", required=True, help="A date, or a time with its zone.")
@click.option("--to", "until", required=True, help="The same; it is not part of the export. At most 31 days later.")
@click.option("--format", "form", type=click.Choice(["csv", "ndjson"]), default="csv", show_default=True)
@click.option("--output", type=click.File("wb", lazy=True), default="-", help="A file; default: standard output.")
@click.pass_obj
def export_notices(resolved: Resolve, since: str, until: str, form: Literal["csv", "ndjson"], output: BinaryIO) -> None:
    """Notices and attempts of a time, without content and addresses."""
    from hub.notices import ledger_command

    say = partial(click.echo, err=True)
    sys.exit(0 if ledger_command.export_notices(resolved(), since, until, form, output, say) else 1)


@notices.command("callbacks")
@click.pass_obj
def list_callbacks(resolved: Resolve) -> None:
    """The addresses that providers must be told of, with the tokens of those that cannot sign."""
    from hub.notices.callback import addresses

    for name, address in addresses(resolved()).items():
        click.echo(f"{name:<8} {address}")
