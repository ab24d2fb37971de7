"""`hub due` on the command line. As in `hub.cli`, which hands down the settings, what is needed is imported when it runs."""

from collections.abc import Callable

import rich_click as click

from hub.platform.settings import Settings

Resolve = Callable[[], Settings]


@click.command()
@click.option("--at", "given", required=True, help="When: 2026-12-01T09:00+08:00; without an offset, Shanghai's time.")
@click.option("--dry-run", is_flag=True, help="Look only. There is no other way: firing is the schedulers' business.")
@click.option("--person", help="Only for this person: an id or a phone.")
@click.option("--most", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Timers shown.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def due(resolved: Resolve, given: str, dry_run: bool, person: str | None, most: int, as_json: bool) -> None:
    """What would fire at a moment, for whom and why."""
    import msgspec

    from hub.platform.text import text
    from hub.schedule import command
    from hub.schedule.model import moment_of

    at = moment_of(given)
    if at is None:
        raise click.BadParameter(text("schedule_moment_invalid"), param_hint="--at")
    if not dry_run:
        raise click.UsageError(text("schedule_wet"))
    found = command.look(resolved(), at, person, most)
    if found is None:
        raise click.BadParameter(text("schedule_person_unknown"), param_hint="--person")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        command.show_forecast(found)
