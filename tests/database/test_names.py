"""How a URL names an object, whatever it looks like."""

import sqlalchemy as sa

from avatarlab_cli.rollup.names import MENTIONS, names
from avatarlab_cli.schema.voice import tts_voices

HOST = "https://x.supabase.co/storage/v1/object"
BUCKET = "voice-samples"
BEGINNING = f"{HOST}/public/{BUCKET}/"
URLS: dict[str, tuple[str, set[str]] | None] = {
    f"{BEGINNING}a/b.mp3": (BUCKET, {"a/b.mp3"}),
    f"{BEGINNING}a/{BUCKET}/b.mp3": (BUCKET, {f"a/{BUCKET}/b.mp3"}),
    f"{BEGINNING}a/{BUCKET}/": (BUCKET, {f"a/{BUCKET}/"}),
    f"{BEGINNING}{BUCKET}/b": (BUCKET, {f"{BUCKET}/b"}),
    BEGINNING: (BUCKET, {""}),
    f"https://größe.example/{BUCKET}/ü/ß.mp3": (BUCKET, {"ü/ß.mp3"}),
    f"{HOST}/sign/{BUCKET}/a%20b?token=1": (BUCKET, {"a%20b?token=1", "a%20b", "a b"}),
    BEGINNING + "k" * 5000: (BUCKET, {"k" * (4096 - len(BEGINNING))}),
    BEGINNING + "ü" * 5000: (BUCKET, {"ü" * (4096 - len(BEGINNING))}),
    f"{HOST}/public/avatars/a.png": ("avatars", {"a.png"}),
    f"data:audio/{BUCKET}/a": None,
    "https://elsewhere.example/a.mp3": None,
}


def test_a_url_names_what_stands_behind_its_bucket(seed_database: sa.Engine) -> None:
    """Behind the first mention of the bucket, to the last character that is read, in any script."""
    naming = next(each for each in MENTIONS if each.column is tts_voices.c.sample_url)
    for url, told in URLS.items():
        with seed_database.begin() as connection:
            connection.execute(sa.delete(tts_voices))
            connection.execute(sa.insert(tts_voices).values(id="a", name="A", sample_url=url))
            found = connection.execute(sa.select(names([naming]))).all()
        keys = {row.key for row in found if row.key is not None}
        assert keys == (told[1] if told else set()), url
        assert {row.bucket for row in found} == ({told[0]} if told else set()), url
