"""avatarlab training: sessions, fine-tuning jobs, what went wrong, files, examples and prompts."""

from typing import TYPE_CHECKING, Annotated

import typer

from avatarlab_cli.cli import App, current
from commands import options

if TYPE_CHECKING:
    from decimal import Decimal

    import sqlalchemy as sa

    from avatarlab_cli.report import Report

app = App()
Run = Annotated[str, typer.Argument(metavar="RUN", help="A session's UUID, or the beginning of one.")]
Status = Annotated[str | None, typer.Option("--status", metavar="NAME", help="Only those of this status.")]


@app.callback()
def training() -> None:
    """Training: sessions, fine-tuning, errors, files, prompts.

    A session prepares an avatar's data; a job fine-tunes a model at OpenAI. A job's status is what OpenAI said when a user
    last looked. Users pay OpenAI with their own keys: spend is an estimate by the rate card.
    """


@app.report()
def summary(
    context: typer.Context,
    older_than: options.OlderThan = "24h",
) -> None:
    """Show training at a glance: what there is, and of the last 30 days how it ended and what it cost.

    \b
    Examples:
      avatarlab training summary
      avatarlab training summary --json
    """
    from avatarlab_cli.queries import training_summary
    from avatarlab_cli.show import show

    span, card = options.span(context, None, None), options.rate_card(context)
    before = options.past(context, "--older-than", older_than)
    show(context, lambda connection: training_summary.summary(connection, span, before, card))


@app.report()
def jobs(
    context: typer.Context,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Count them by status, type, model, user or avatar."),
    ] = None,
    status: Status = None,
    user: options.OfUser = None,
    avatar: options.OfAvatar = None,
    since: options.Since = None,
    until: options.Until = None,
) -> None:
    """List the sessions and fine-tuning jobs begun in a time, by default the last 30 days; or count how they ended.

    A success rate is of those that succeeded or failed; what is unfinished or cancelled is in neither.

    \b
    Examples:
      avatarlab training jobs --status failed
      avatarlab training jobs --by type
      avatarlab training jobs --by user --since 90d --sort -cost --limit 10
    """
    from avatarlab_cli.queries import dimensions, training_jobs
    from avatarlab_cli.queries.naming import AVATAR, USER, chosen
    from avatarlab_cli.show import show

    span, card = options.span(context, since, until), options.rate_card(context)
    if by is not None:
        dimensions.demand(by, training_jobs.DIMENSIONS, "trainings")

    def build(connection: "sa.Connection") -> "Report":
        owner, whose = chosen(connection, USER, user), chosen(connection, AVATAR, avatar)
        wanted = training_jobs.Wanted(span, owner, whose, status)
        if by is None:
            return training_jobs.jobs(connection, card, wanted)
        return training_jobs.jobs_by(connection, card, wanted, by)

    show(context, build)


@app.report()
def errors(context: typer.Context, since: options.Since = None, until: options.Until = None) -> None:
    """Count what went wrong, message by message, in the last 30 days by default.

    Messages that differ only by numbers and ids are one.

    \b
    Examples:
      avatarlab training errors
      avatarlab training errors --since 24h --json
    """
    from avatarlab_cli.queries import training_errors
    from avatarlab_cli.show import show

    span = options.span(context, since, until)
    show(context, lambda connection: training_errors.errors(connection, span))


@app.report()
def logs(context: typer.Context, run: Run) -> None:
    """Show what a session wrote into its log, in order.

    \b
    Examples:
      avatarlab training logs 3fa85f64
      avatarlab training logs 3fa85f64 --json
    """
    from avatarlab_cli.queries import naming, training_errors
    from avatarlab_cli.show import show

    show(
        context,
        lambda connection: training_errors.logs(
            connection, naming.find(connection, training_errors.RUN, run).id
        ),
    )


@app.report()
def files(
    context: typer.Context,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="status (the default), type, user or day.")
    ] = None,
    each: Annotated[bool, typer.Option("--list", help="List each file.")] = False,
    status: Annotated[
        str | None, typer.Option("--status", metavar="NAME", help="List those of this status.")
    ] = None,
    user: options.OfUser = None,
) -> None:
    """Count the files uploaded for training, their bytes and how many failed; or list each.

    \b
    Examples:
      avatarlab training files
      avatarlab training files --status failed
      avatarlab training files --by user --sort -bytes --limit 10
    """
    from avatarlab_cli.errors import UsageError
    from avatarlab_cli.queries import dimensions, training_files
    from avatarlab_cli.queries.naming import USER, chosen
    from avatarlab_cli.show import show

    is_list = each or status is not None
    if is_list and by is not None:
        raise UsageError("a list is not divided", hint="leave out --by, or --list and --status")
    name = dimensions.demand(by or "status", training_files.DIMENSIONS, "files")

    def build(connection: "sa.Connection") -> "Report":
        owner = chosen(connection, USER, user)
        if is_list:
            return training_files.uploads(connection, status=status, user=owner)
        return training_files.files(connection, name, owner)

    show(context, build)


@app.report()
def stale(context: typer.Context, older_than: options.OlderThan = "24h") -> None:
    """List the sessions, jobs and files that wait or run for too long; exit code 3 where there is any.

    A job's status is only renewed while its user looks at the page: one that is listed may have ended long ago.

    \b
    Examples:
      avatarlab training stale
      avatarlab training stale --older-than 7d --csv
    """
    from avatarlab_cli.queries import training_stale
    from avatarlab_cli.show import show_findings

    now, before = current(context).clock(), options.past(context, "--older-than", older_than)
    show_findings(context, lambda connection: training_stale.stale(connection, now, before))


@app.report()
def examples(
    context: typer.Context,
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="source, pattern, avatar or user.")
    ] = "source",
    below: Annotated[
        str,
        typer.Option("--below", metavar="SCORE", help="Count those with a lower score than that, 0 to 1."),
    ] = "0.7",
) -> None:
    """Count the examples avatars can be fine-tuned with, how many were used, and how good they are.

    \b
    Examples:
      avatarlab training examples
      avatarlab training examples --by avatar --below 0.8 --sort -below --limit 10
    """
    from avatarlab_cli.queries import dimensions, training_examples
    from avatarlab_cli.show import show

    name, score = dimensions.demand(by, training_examples.DIMENSIONS, "examples"), _score(below)
    show(context, lambda connection: training_examples.examples(connection, name, score))


def _score(text: str) -> "Decimal":
    from decimal import Decimal, InvalidOperation

    from avatarlab_cli.errors import UsageError

    try:
        score = Decimal(text)
        if 0 <= score <= 1:
            return score
    except InvalidOperation:
        pass
    raise UsageError(f"--below takes a number from 0 to 1, not {text!r}")


@app.report()
def prompts(
    context: typer.Context,
    avatar: options.Avatar,
    first: Annotated[
        str | None, typer.Option("--from", metavar="VERSION", help="Compare this version; with --to.")
    ] = None,
    second: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="With this one; with --from.")
    ] = None,
) -> None:
    """List the versions of an avatar's prompt; or show, line by line, how two of them differ.

    \b
    Examples:
      avatarlab training prompts 3fa8
      avatarlab training prompts 3fa8 --from v1.0 --to v1.3
    """
    from avatarlab_cli.errors import UsageError
    from avatarlab_cli.queries import naming, training_prompts
    from avatarlab_cli.show import demand_options, show, show_rows

    if (first is None) != (second is None):
        raise UsageError("two versions are compared", hint="name them: --from v1.0 --to v1.1")
    if first is None or second is None:
        show(
            context,
            lambda connection: training_prompts.versions(
                connection, naming.find(connection, naming.AVATAR, avatar).id
            ),
        )
        return
    demand_options(context, training_prompts.DIFFERENCES)
    with current(context).reading() as connection:
        found = naming.find(connection, naming.AVATAR, avatar)
        rows = training_prompts.differences(connection, found, first, second)
    show_rows(context, training_prompts.DIFFERENCES, rows, empty="The two versions say the same.")
