"""avatarlab storage: where the bytes are, whose they are, and which nobody needs."""

from datetime import timedelta
from typing import Annotated

import typer

from avatarlab_cli.cli import App, current
from avatarlab_cli.errors import UsageError
from avatarlab_cli.timeframe import parse_moment
from commands import options

app = App()
Bucket = Annotated[str | None, typer.Option("--bucket", metavar="NAME", help="Only of this bucket.")]
Days = Annotated[int, typer.Option("--days", metavar="N", min=1, max=3650, help="How many days back.")]


@app.callback()
def storage() -> None:
    """Where the bytes are: kinds, users, buckets, tables, orphans.

    Sizes are those the buckets tell now. Without rights on them the sizes in the tables serve, as far as they go.
    """


@app.report()
def summary(context: typer.Context) -> None:
    """Show what each kind of files takes: images, documents, voice, video, other, and training data.

    Training data is no files: what its tables take in the database counts in the total and in the shares.

    \b
    Examples:
      avatarlab storage summary
      avatarlab storage summary --json --fields kind,bytes,orphan_bytes
    """
    from avatarlab_cli.queries import storage
    from avatarlab_cli.show import show

    show(context, storage.summary)


@app.report()
def users(context: typer.Context, days: Days = 30) -> None:
    """Rank users by what they store, with each one's share and how it has grown.

    \b
    Examples:
      avatarlab storage users --limit 20
      avatarlab storage users --days 7 --sort -growth --limit 10
      avatarlab storage users --csv --fields email,bytes,orphan_bytes
    """
    from avatarlab_cli.queries import storage_users
    from avatarlab_cli.show import show

    before = current(context).clock().date() - timedelta(days=days)
    show(context, lambda connection: storage_users.users(connection, before))


@app.report("user")
def show_user(context: typer.Context, user: options.User) -> None:
    """Show what one user stores, by kind and bucket.

    \b
    Examples:
      avatarlab storage user ada@example.com
      avatarlab storage user 3fa8 --json
    """
    from avatarlab_cli.queries import storage_users, users
    from avatarlab_cli.show import show

    show(context, lambda connection: storage_users.user(connection, users.find_user(connection, user)))


@app.report()
def buckets(context: typer.Context) -> None:
    """List the buckets, empty ones too, with what is in them.

    \b
    Examples:
      avatarlab storage buckets
      avatarlab storage buckets --fields bucket,objects,orphan_objects,orphan_bytes
    """
    from avatarlab_cli.queries import storage
    from avatarlab_cli.show import show

    show(context, storage.buckets)


@app.report()
def tables(context: typer.Context) -> None:
    """List what the database itself takes, table by table and index by index.

    It adds up to the whole database but for a few files of PostgreSQL's own.

    \b
    Examples:
      avatarlab storage tables --limit 20
      avatarlab storage tables --csv --fields area,table,type,bytes
    """
    from avatarlab_cli.queries import storage_tables
    from avatarlab_cli.show import show

    show(context, storage_tables.tables)


@app.report()
def top(
    context: typer.Context,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="images, documents, voice, video or other.")
    ] = None,
    bucket: Bucket = None,
) -> None:
    """List the largest objects; those of unknown size are left out, and counted.

    \b
    Examples:
      avatarlab storage top --limit 20
      avatarlab storage top --kind video --limit 100 --csv
    """
    from avatarlab_cli.output.options import Format
    from avatarlab_cli.queries import storage_objects
    from avatarlab_cli.show import rows_shown, show

    output = current(context).output
    is_page = output.sort is None and output.resolved_format is not Format.COUNT
    # One row more tells whether there are more.
    rows = rows_shown(context) if is_page else None
    most = None if rows is None else rows + 1
    show(
        context,
        lambda connection: storage_objects.top(connection, kind=kind, bucket=bucket, rows=most),
    )


@app.report()
def orphans(
    context: typer.Context,
    bucket: Bucket = None,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", help="Only what came before that: 1d, 12w, or ISO 8601."),
    ] = None,
    by_age: Annotated[
        bool, typer.Option("--by-age", help="Count them by bucket and age instead of listing them.")
    ] = False,
) -> None:
    """List the objects that no row names; nothing is deleted.

    On hosted Supabase only the Storage API deletes an object's bytes: the list's bucket and key are what it takes.
    Every column is looked at that may hold an object's URL, and every way to write one, but not the texts and JSON
    documents in the tables. A bucket whose naming columns are not all there is left out, with a note.

    \b
    Examples:
      avatarlab storage orphans --by-age
      avatarlab storage orphans --older-than 30d --csv --fields bucket,key --out orphans.csv
      avatarlab storage orphans --bucket generated-images --sort -bytes --limit 20
    """
    from avatarlab_cli.queries import storage_orphans
    from avatarlab_cli.show import show

    now = current(context).clock()
    before = None if older_than is None else parse_moment(older_than, now)
    if before is not None and before > now:
        raise UsageError(
            f"--older-than {older_than} lies ahead", hint="name an age, 1d, or a time that is past"
        )
    report = storage_orphans.by_age if by_age else storage_orphans.orphans
    show(context, lambda connection: report(connection, now, bucket=bucket, before=before))


@app.report()
def missing(context: typer.Context, bucket: Bucket = None) -> None:
    """List the rows that name an object which is gone.

    \b
    Examples:
      avatarlab storage missing
      avatarlab storage missing --bucket voice-samples --csv --fields table,column,id
    """
    from avatarlab_cli.queries import storage_orphans
    from avatarlab_cli.show import show

    show(context, lambda connection: storage_orphans.missing(connection, bucket=bucket))


@app.report()
def growth(
    context: typer.Context,
    days: Days = 30,
    by: Annotated[str | None, typer.Option("--by", metavar="GROUP", help="kind or bucket.")] = None,
) -> None:
    """Follow what is stored day by day, as the jobs' daily snapshots have it.

    \b
    Examples:
      avatarlab storage growth
      avatarlab storage growth --days 90 --by kind --csv
    """
    from avatarlab_cli.queries import storage_history
    from avatarlab_cli.show import show

    last = current(context).clock().date()
    first = last - timedelta(days=days - 1)
    show(context, lambda connection: storage_history.growth(connection, first, last, by))


@app.report()
def quota(
    context: typer.Context,
    near: Annotated[
        int,
        typer.Option("--near", metavar="PERCENT", min=1, max=100, help="How much of a limit counts as near."),
    ] = 90,
) -> None:
    """List who stores more than the tier allows, or nearly so; exit code 3 where there is anybody, or it is not known.

    It judges the bytes that the job monthly-usage last stored, by today's limits.

    \b
    Examples:
      avatarlab storage quota
      avatarlab storage quota --near 75 --csv
    """
    from avatarlab_cli.queries import storage_quota
    from avatarlab_cli.show import show_findings

    show_findings(
        context,
        lambda connection: storage_quota.quota(connection, near),
    )


@app.report()
def duplicates(
    context: typer.Context,
    copies: Annotated[bool, typer.Option("--copies", help="List every copy.")] = False,
) -> None:
    """List what is stored more than once: the same hash and size.

    \b
    Examples:
      avatarlab storage duplicates --limit 20
      avatarlab storage duplicates --copies --csv
    """
    from avatarlab_cli.queries import storage_objects
    from avatarlab_cli.show import show

    show(context, storage_objects.copies if copies else storage_objects.duplicates)
