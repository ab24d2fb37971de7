"""`hub broadcast` on the command line. As in `hub.cli`, which hands down the settings, what is needed is imported when it runs."""

import sys
from collections.abc import Callable
from typing import Literal

import rich_click as click

from hub.platform.settings import Settings

Resolve = Callable[[], Settings]


@click.group("broadcast")
def broadcasts() -> None:
    """What is said to many at once: how far it is, holding it, stopping it. Preparing and starting one is for the console."""


@broadcasts.command("list")
@click.pass_obj
def list_broadcasts(resolved: Resolve) -> None:
    """The newest 20."""
    from hub.broadcasts import command as broadcast_command

    broadcast_command.list_all(resolved(), click.echo)


@broadcasts.command("show")
@click.argument("id")
@click.pass_obj
def show_broadcast(resolved: Resolve, id: str) -> None:
    """One, with its notices by state."""
    from hub.broadcasts import command as broadcast_command

    sys.exit(0 if broadcast_command.show(resolved(), id, click.echo) else 1)


@broadcasts.command("watch")
@click.argument("id")
@click.pass_obj
def watch_broadcast(resolved: Resolve, id: str) -> None:
    """Follow one with a progress bar until it is over. Ctrl-C stops the watching only."""
    from hub.broadcasts import command as broadcast_command

    sys.exit(0 if broadcast_command.watch(resolved(), id, click.echo) else 1)


@broadcasts.command("pause")
@click.argument("id")
@click.pass_obj
def pause_broadcast(resolved: Resolve, id: str) -> None:
    """Hold it: nobody else is reached."""
    _move(resolved, id, "pause")


@broadcasts.command("resume")
@click.argument("id")
@click.pass_obj
def resume_broadcast(resolved: Resolve, id: str) -> None:
    """Go on from where it was paused."""
    _move(resolved, id, "resume")


@broadcasts.command("cancel")
@click.argument("id")
@click.pass_obj
def cancel_broadcast(resolved: Resolve, id: str) -> None:
    """Stop it for good, and withdraw its notices that are still open."""
    _move(resolved, id, "cancel")


def _move(resolved: Resolve, broadcast: str, wanted: Literal["pause", "resume", "cancel"]) -> None:
    from hub.broadcasts import command as broadcast_command

    sys.exit(0 if broadcast_command.move(resolved(), broadcast, wanted, click.echo) else 1)
