"""What voices take in their bucket, recordings and speech apart, beside what the tables say of them."""

from typing import Any

import sqlalchemy as sa

from avatarlab_cli.queries.objects import OBJECT_COLUMNS
from avatarlab_cli.queries.platform import Expression, Platform, share
from avatarlab_cli.queries.storage_ledger import Stored, known_sum, unsized
from avatarlab_cli.queries.voice_samples import files
from avatarlab_cli.report import Column, Kind, Report
from avatarlab_cli.rollup.availability import STORAGE
from avatarlab_cli.rollup.ledger import each_object
from avatarlab_cli.rollup.names import Naming, names
from avatarlab_cli.schema.live import LiveSchema
from avatarlab_cli.schema.supabase import objects
from avatarlab_cli.schema.voice import tts_generations, voice_samples

BUCKET = "voice-samples"
SAMPLES, SPEECH, OTHER = "samples", "speech", "other"
_NO_SIZES = "no table holds the size of speech: only the bucket tells it"
_NO_OBJECTS = "{} here: what is in the bucket is not known"


def storage(connection: sa.Connection) -> Report:
    """Report the objects of the bucket and the files the tables name, by what they are."""
    platform, stored = Platform(connection), Stored.here(connection)
    told = sa.union_all(_told_samples(platform), _told_speech(platform), _told_of_others()).subquery("told")
    if stored.namings is None:
        source: sa.FromClause = told
        figures: list[Expression] = [sa.cast(sa.null(), sa.BigInteger)] * len(_FIGURES)
        notes: tuple[str, ...] = (_NO_OBJECTS.format(_reason(stored.live)), _NO_SIZES)
    else:
        found = _in_bucket(stored.namings)
        source = told.outerjoin(found, found.c.use == told.c.use)
        figures = [_figure(platform, told, found.c[name]) for name in _FIGURES]
        notes = (_NO_SIZES, *stored.unclear_notes(connection))
    count, size, without = figures
    coverage = share(count - without, count)
    return platform.report(
        sa.select(
            told.c.use,
            count.label("objects"),
            size.label("bytes"),
            without.label("unsized_objects"),
            coverage.label("coverage"),
            told.c.files,
            told.c.table_bytes,
            told.c.table_coverage,
        ).select_from(source),
        _COLUMNS,
        sort="-use",
        notes=notes,
    )


def _reason(live: LiveSchema) -> str:
    lacking = [name for name in OBJECT_COLUMNS if not live.has(STORAGE, name)]
    if not live.has(STORAGE):
        return f"{STORAGE} is missing"
    return f"{STORAGE}.{lacking[0]} is missing" if lacking else f"{STORAGE} cannot be read"


def _figure(platform: Platform, told: sa.Subquery, found: Expression) -> Expression:
    """Return a figure of the bucket, 0 where nothing was found.

    What is named by a column that is not there would be taken for something else: then it is not known.
    """
    sample, speech = platform[voice_samples].c.file_url, platform[tts_generations].c.audio_url
    use = found.table.c.use
    # Files without any known size have no bytes, which is not 0.
    known = sa.case((use.is_(None), 0), else_=found)
    of_samples, of_others = platform.known(known, sample), platform.known(known, sample, speech)
    return sa.case((told.c.use == SAMPLES, of_samples), else_=of_others)


def _in_bucket(namings: tuple[Naming, ...]) -> sa.Subquery:
    """Return objects, bytes and unsized_objects of the bucket by their use."""
    each, named = each_object(objects.c.bucket_id == BUCKET), _named(namings)
    # An object several rows name counts once, and as a recording where it is speech too. Its id is shorter than its key.
    is_sample = sa.type_coerce(sa.func.bool_or(named.c.is_sample), sa.Boolean)
    use = sa.case((is_sample, SAMPLES), (is_sample.is_(None), OTHER), else_=SPEECH)
    used = (
        sa.select(use.label("use"), sa.func.max(each.c.bytes).label("bytes"))
        .select_from(each.outerjoin(named, named.c.key == each.c.key))
        .group_by(each.c.id)
        .subquery("used")
    )
    return (
        sa.select(
            used.c.use,
            sa.func.count().label("objects"),
            known_sum(used.c.bytes).label("bytes"),
            unsized(used.c.bytes).label("unsized_objects"),
        )
        .group_by(used.c.use)
        .subquery("found")
    )


def _named(namings: tuple[Naming, ...]) -> sa.Subquery:
    """Return what rows name in the bucket, and whether as a recording."""
    parts = []
    for is_sample, column in (
        (sa.true(), voice_samples.c.file_url),
        (sa.false(), tts_generations.c.audio_url),
    ):
        each = names(naming for naming in namings if naming.column is column)
        parts.append(sa.select(is_sample.label("is_sample"), each.c.key).where(each.c.bucket == BUCKET))
    return sa.union_all(*parts).subquery("named")


def _told_samples(platform: Platform) -> sa.Select[Any]:
    own, file = platform[voice_samples].c, files(platform)
    reads = own.file_url, own.file_size_bytes
    sized = share(sa.func.count(file.c.bytes), sa.func.count())
    told: list[Expression] = [
        sa.literal(SAMPLES).label("use"),
        platform.known(sa.func.count(), own.file_url).label("files"),
        platform.known(known_sum(file.c.bytes), *reads).label("table_bytes"),
        platform.known(sized, *reads).label("table_coverage"),
    ]
    # The condition makes it one row, whether or not a figure is left that sums up rows.
    return sa.select(*told).select_from(file).having(sa.true())


def _told_speech(platform: Platform) -> sa.Select[Any]:
    own = platform[tts_generations].c
    # Counting distinct values would sort them, by the letters of a language.
    spoken = sa.select(own.audio_url).distinct().subquery("spoken")
    told: list[Expression] = [sa.literal(SPEECH).label("use"), platform.count(spoken.c.audio_url)]
    return sa.select(*told, *_UNKNOWN).having(sa.true())


def _told_of_others() -> sa.Select[Any]:
    told: list[Expression] = [sa.literal(OTHER).label("use"), sa.cast(sa.null(), sa.BigInteger)]
    return sa.select(*told, *_UNKNOWN)


_FIGURES = ("objects", "bytes", "unsized_objects")
_UNKNOWN = (sa.cast(sa.null(), sa.BigInteger), sa.cast(sa.null(), sa.Numeric))
_COLUMNS = (
    Column("use", Kind.ID, "samples, speech, or other: no row of either names it"),
    Column("objects", Kind.INTEGER, "files in the bucket", total=True),
    Column("bytes", Kind.BYTES, "those of known size together", total=True),
    Column("unsized_objects", Kind.INTEGER, "files of unknown size", wide=True, total=True),
    Column("coverage", Kind.PERCENT, "the share of the files whose size is known", null="-"),
    Column("files", Kind.INTEGER, "files that rows name, each once", null="-"),
    Column("table_bytes", Kind.BYTES, "what the rows say they take", null="-"),
    Column("table_coverage", Kind.PERCENT, "the share of them whose row has a size", null="-"),
)
