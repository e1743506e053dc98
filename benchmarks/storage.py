r"""`storage summary` and `storage orphans --csv` of two million objects, against the same SQL written by hand.

Run as `python -m benchmarks.storage [--objects N] [--rounds N]`. All are whole processes; by hand, psql runs what
somebody writes who knows the tables, with `\copy` for the orphans. Both must give the same answer.
"""

import argparse
import csv
import functools
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

from avatarlab_cli.embedded import EmbeddedServer
from benchmarks import measure

USERS = 20_000
TOOL, HAND = "avatarlab", "by hand"
MOST_TIMES_BY_HAND = 1.3
# The memory of two equal processes differs by a few percent too.
MOST_MEMORY_GROWTH = 1.1
_COLUMNS = "bucket,key,bytes,created_at"
# All columns that may name an object, as somebody writes them down who knows that no URL here is percent-encoded.
_KEY = "split_part(substr({url}, strpos({url}, '/{bucket}/') + length('/{bucket}/')), '?', 1)"
_URLS = (
    ("avatars", "url", "avatars, unnest(avatar_images) AS url"),
    ("avatars", "url", "avatars, unnest(gallery_images) AS url"),
    ("avatars", "avatar_url", "profiles"),
    ("avatar-memories", "image_url", "avatar_memories"),
    ("avatar-memories", "thumbnail_url", "avatar_memories"),
    ("avatar-memories", "image_url", "memory_images"),
    ("avatar-memories", "thumbnail_url", "memory_images"),
    ("generated-images", "substr(image_url, 1, 2048)", "generated_images"),
    ("generated-images", "substr(original_image_url, 1, 2048)", "generated_images"),
    ("generated-images", "thumbnail_url", "generated_images"),
    ("generated-videos", "video_url", "generated_videos"),
    ("generated-videos", "thumbnail_url", "generated_videos"),
    ("knowledge-base", "link_url", "avatar_knowledge_files"),
    ("voice-samples", "audio_url", "tts_generations"),
    ("voice-samples", "file_url", "voice_samples"),
    ("voice-samples", "preview_url", "voice_clones"),
    ("voice-samples", "sample_url", "tts_voices"),
)
_KEYS = (
    ("avatar-memories", "image_path", "memory_images"),
    ("avatar-memories", "image_path", "avatar_memories"),
    ("knowledge-base", "file_path", "avatar_knowledge_files"),
    ("training-files", "file_path", "avatar_training_files"),
)
_NAMES = " UNION ALL ".join(
    (
        *(f"SELECT '{bucket}' AS bucket, {column} AS key FROM {table}" for bucket, column, table in _KEYS),
        *(
            f"SELECT '{bucket}', {_KEY.format(url=url, bucket=bucket)} FROM {table}"
            f" WHERE {url} LIKE 'http%' AND {url} LIKE '%/{bucket}/%'"
            for bucket, url, table in _URLS
        ),
    )
)
_ORPHANS = f"""SELECT o.bucket_id AS bucket, o.name AS key, (o.metadata ->> 'size')::bigint AS bytes, o.created_at
    FROM storage.objects o
    WHERE NOT EXISTS (SELECT FROM ({_NAMES}) AS n WHERE n.bucket = o.bucket_id AND n.key = o.name)"""
_KIND = """CASE WHEN {bucket} IN ('generated-images', 'avatar-memories', 'avatars') THEN 'images'
    WHEN {bucket} IN ('knowledge-base', 'training-files') THEN 'documents'
    WHEN {bucket} = 'voice-samples' THEN 'voice' ELSE 'video' END"""
_SUMMARY = f"""
    SELECT kind, objects, bytes, unsized, orphans, orphan_bytes
    FROM (SELECT {_KIND.format(bucket="bucket_id")} AS kind, count(*) AS objects,
                 sum((metadata ->> 'size')::bigint) AS bytes,
                 count(*) FILTER (WHERE metadata ->> 'size' IS NULL) AS unsized
          FROM storage.objects GROUP BY 1) AS stored
    LEFT JOIN (SELECT {_KIND.format(bucket="bucket")} AS kind, count(*) AS orphans, sum(bytes) AS orphan_bytes
               FROM ({_ORPHANS}) AS orphan GROUP BY 1) AS lost USING (kind)
    ORDER BY kind"""
_FIELDS = "kind,objects,bytes,unsized_objects,orphan_objects,orphan_bytes"


def main() -> None:
    """Measure, print, and exit with 1 where a promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objects", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with measure.server() as server, TemporaryDirectory(prefix="avatarlab-bench-") as directory:
        conninfo = fill(server, "large", given.objects)
        os.environ["AVATARLAB_DATABASE_URL"] = conninfo
        check_summary(conninfo)
        summaries = compare_summaries(conninfo, given.rounds)
        orphans = compare_orphans(conninfo, Path(directory), given.rounds)
        large = peaks()
        os.environ["AVATARLAB_DATABASE_URL"] = fill(server, "small", given.objects // 10)
        small = peaks()
    for verb, before, after in zip(("summary", "orphans"), small, large, strict=True):
        print(
            f"peak memory of {verb}: {before / 1e6:.0f} MB with a tenth of the objects, {after / 1e6:.0f} MB"
        )
    measure.conclude(
        measure.Promise("storage summary / by hand", summaries, MOST_TIMES_BY_HAND),
        measure.Promise("storage orphans --csv / by hand", orphans, MOST_TIMES_BY_HAND),
        measure.Promise("memory of summary, all / a tenth", large[0] / small[0], MOST_MEMORY_GROWTH),
        measure.Promise("memory of orphans, all / a tenth", large[1] / small[1], MOST_MEMORY_GROWTH),
    )


def fill(server: EmbeddedServer, name: str, objects: int) -> str:
    """Create a platform with so many objects, and about as many rows, and return its connection string."""
    conninfo = measure.create_platform(server, name)
    script = ("-f", str(Path(__file__).with_suffix(".sql")))
    measure.run(measure.psql(conninfo, *script, users=USERS, objects=objects, today=measure.TODAY))
    return conninfo


def tool(*arguments: str) -> list[str]:
    """Return the tool's command."""
    return [str(Path(sysconfig.get_path("scripts")) / "avatarlab"), "-q", "storage", *arguments]


def check_summary(conninfo: str) -> None:
    """Exit unless both count the same."""
    by_tool = _output(tool("summary", "--csv", "--fields", _FIELDS, "--no-headers"))
    by_hand = _output(measure.psql(conninfo, "--csv", "-t", "-c", _SUMMARY))
    found = {line for line in by_tool.splitlines() if line.split(",")[0] not in {"other", "training"}}
    if found != set(by_hand.splitlines()) or not found:
        sys.exit(f"the summaries differ, so their times cannot be compared:\n{by_tool}\n{by_hand}")


def compare_summaries(conninfo: str, rounds: int) -> float:
    """Print the times of both summaries and return their ratio."""
    contenders = {TOOL: tool("summary", "--csv"), HAND: measure.psql(conninfo, "-c", _SUMMARY)}
    return _compare("storage summary", contenders, rounds)


def compare_orphans(conninfo: str, directory: Path, rounds: int) -> float:
    """Print the times of both lists of orphans and return their ratio; exits where they differ."""
    by_tool, by_hand = directory / "tool.csv", directory / "hand.csv"
    select = " ".join(f"{_ORPHANS} ORDER BY bucket, created_at, key".split())
    contenders = {
        TOOL: tool("orphans", "--csv", "--fields", _COLUMNS, "--out", str(by_tool)),
        HAND: measure.psql(conninfo, "-c", f"\\copy ({select}) to '{by_hand}' csv header"),
    }
    ratio = _compare("storage orphans --csv", contenders, rounds)
    places = [[row[:3] for row in csv.reader(file.open(newline=""))] for file in (by_tool, by_hand)]
    if places[0] != places[1] or len(places[0]) == 1:
        sys.exit("the two lists differ, so their times cannot be compared")
    print(f"two equal lists of {len(places[0]) - 1:,} orphans")
    return ratio


def peaks() -> tuple[int, int]:
    """Return the peak memory of both commands in bytes."""
    listed = tool("orphans", "--csv", "--out", os.devnull)
    return measure.peak_bytes(tool("summary")), measure.peak_bytes(listed)


def _compare(title: str, contenders: dict[str, list[str]], rounds: int) -> float:
    print(f"\n{title}")
    runs = {name: functools.partial(measure.run, command) for name, command in contenders.items()}
    times = measure.take_turns(runs, rounds)
    measure.show(times, HAND)
    return times[TOOL].best / times[HAND].best


def _output(command: list[str]) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


if __name__ == "__main__":
    main()
