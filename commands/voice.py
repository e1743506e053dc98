"""avatarlab voice: cloned voices, the recordings they are made from, and what was spoken."""

from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, current
from commands import options

if TYPE_CHECKING:
    import sqlalchemy as sa

    from avatarlab_cli.report import Report

app = App()


@app.callback()
def voice() -> None:
    """Voices: clones, recordings, speech and what it costs.

    Speech that failed leaves no row, so there is no success rate. Users pay for speech with their own keys: spend is an
    estimate by the rate card.
    """


@app.report()
def summary(
    context: typer.Context,
    older_than: options.OlderThan = "24h",
) -> None:
    """Show the voices at a glance: clones, recordings and speech there are, and those of the last 30 days.

    \b
    Examples:
      avatarlab voice summary
      avatarlab voice summary --json
    """
    from avatarlab_cli.queries import voice_summary
    from avatarlab_cli.show import show

    span, card = options.span(context, None, None), options.rate_card(context)
    before = options.past(context, "--older-than", older_than)
    show(context, lambda connection: voice_summary.summary(connection, span, before, card))


@app.report()
def clones(
    context: typer.Context,
    each: Annotated[bool, typer.Option("--list", help="List each clone.")] = False,
    stuck: Annotated[bool, typer.Option("--stuck", help="List those that are stuck in training.")] = False,
    status: Annotated[
        str | None,
        typer.Option("--status", metavar="NAME", help="List those of this status: training, active."),
    ] = None,
    user: options.OfUser = None,
    older_than: options.OlderThan = "24h",
) -> None:
    """Count the cloned voices by status, with their age and recordings; or list each.

    A clone becomes active only when its user looks at the list, so one that is stuck may be finished. Recordings that no
    clone was made from are a row of their own.

    \b
    Examples:
      avatarlab voice clones
      avatarlab voice clones --stuck --older-than 7d
      avatarlab voice clones --list --user ada@example.com --sort samples
    """
    from avatarlab_cli.queries import voice_clones
    from avatarlab_cli.queries.naming import USER, chosen
    from avatarlab_cli.show import show

    before = options.past(context, "--older-than", older_than)
    if not (each or stuck or status is not None or user is not None):
        show(context, lambda connection: voice_clones.by_status(connection, before))
        return

    def build(connection: "sa.Connection") -> "Report":
        wanted = voice_clones.Wanted(status, chosen(connection, USER, user), stuck)
        return voice_clones.clones(connection, current(context).clock(), before, wanted)

    show(context, build)


@app.report()
def tts(
    context: typer.Context,
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="user, voice, provider, day or model.")
    ] = "user",
    user: options.OfUser = None,
    since: options.Since = None,
    until: options.Until = None,
) -> None:
    """Count what was spoken, generations and characters, with the estimated spend; in the last 30 days by default.

    \b
    Examples:
      avatarlab voice tts
      avatarlab voice tts --by day --since 7d
      avatarlab voice tts --by voice --user ada@example.com --csv
    """
    from avatarlab_cli.queries import dimensions, voice_speech
    from avatarlab_cli.queries.naming import USER, chosen
    from avatarlab_cli.show import show

    span, card = options.span(context, since, until), options.rate_card(context)
    name = dimensions.demand(by, voice_speech.DIMENSIONS, "speech")
    show(
        context,
        lambda connection: voice_speech.speech(connection, span, card, name, chosen(connection, USER, user)),
    )


@app.report()
def samples(
    context: typer.Context,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="use (the default), user or day.")
    ] = None,
    each: Annotated[bool, typer.Option("--list", help="List each recording.")] = False,
    unused: Annotated[
        bool, typer.Option("--without-clone", help="List those no clone was made from.")
    ] = False,
    user: options.OfUser = None,
) -> None:
    """Count the recordings voices are made from, and their bytes, each file once; or list each.

    \b
    Examples:
      avatarlab voice samples
      avatarlab voice samples --by user --sort -bytes --limit 10
      avatarlab voice samples --without-clone --csv
    """
    from avatarlab_cli.errors import UsageError
    from avatarlab_cli.queries import dimensions, voice_samples
    from avatarlab_cli.queries.naming import USER, chosen
    from avatarlab_cli.show import show

    is_list = each or unused
    if is_list and by is not None:
        raise UsageError("a list is not divided", hint="leave out --by, or --list and --without-clone")
    name = dimensions.demand(by or "use", voice_samples.DIMENSIONS, "recordings")

    def build(connection: "sa.Connection") -> "Report":
        owner = chosen(connection, USER, user)
        if is_list:
            return voice_samples.recordings(connection, unused=unused, user=owner)
        return voice_samples.samples(connection, name, owner)

    show(context, build)


@app.report()
def storage(context: typer.Context) -> None:
    """Show what recordings and speech take in their bucket, beside what the tables say of it.

    What no row of either names is other: `avatarlab storage orphans --bucket voice-samples` lists what nobody needs.

    \b
    Examples:
      avatarlab voice storage
      avatarlab voice storage --json
    """
    from avatarlab_cli.queries import voice_storage
    from avatarlab_cli.show import show

    show(context, voice_storage.storage)
