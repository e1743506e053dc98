"""The reference's usage figures, limits and storage, on examples small enough to work out by hand."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.reference import rates
from tests.reference.examples import (
    ANN,
    BOB,
    CARD,
    JUNE,
    MAY,
    PRO,
    STARTER,
    TODAY,
    at,
    platform,
    subscription,
    tier,
)
from tests.reference.generate import dataset
from tests.reference.limits import limits_on
from tests.reference.rates import Rate, rates_from_yaml
from tests.reference.rows import MAKERS
from tests.reference.source import UNATTRIBUTED, Row, Source, last_day
from tests.reference.storage import Cell, names_in_url, path_owner, size_of, storage_ledger
from tests.reference.usage import monthly_usage, usage_daily


def month_of_ann(source: Source, month: date = JUNE, snapshots: Any = None) -> dict[str, Any]:  # noqa: ANN401 - a mapping or nothing
    return monthly_usage(source, CARD, month, month, TODAY, snapshots=snapshots or {})[ANN, month]


def test_a_microsecond_separates_two_days_and_months() -> None:
    """The last microsecond of May is May's, midnight is June's."""
    times = ["2025-05-31T23:59:59.999999", "2025-06-01T00:00:00"]
    source = platform(avatars=[{"user_id": ANN, "created_at": at(time)} for time in times])
    days = usage_daily(source, CARD, MAY, last_day(JUNE))
    assert {key: row["avatars_created"] for key, row in days.items()} == {
        (ANN, date(2025, 5, 31)): 1,
        (ANN, JUNE): 1,
    }
    assert month_of_ann(source, MAY)["avatars_created"] == 1


def test_rows_of_nobody_are_unattributed() -> None:
    """A missing owner, an unknown one and an ownerless avatar's all count, and have no month."""
    noon = at("2025-06-01T12:00")
    source = platform(
        avatar_memories=[{"user_id": UUID(int=77), "created_at": noon}],
        avatars=[{"id": BOB, "user_id": None, "created_at": noon}],
        conversations=[{"avatar_id": BOB, "timestamp": noon}],
    )
    row = usage_daily(source, CARD, JUNE, JUNE)[UNATTRIBUTED, JUNE]
    assert (row["memories_added"], row["avatars_created"], row["conversations_count"]) == (1, 1, 1)
    assert monthly_usage(source, CARD, JUNE, JUNE, TODAY, snapshots={}) == {}


def test_a_request_falls_to_its_keys_owner() -> None:
    """The row's own user comes first, then the key's."""
    noon = at("2025-06-01T12:00")
    source = platform(
        platform_api_keys=[{"id": PRO, "user_id": BOB}],
        api_request_logs=[
            {"user_id": None, "api_key_id": PRO, "created_at": noon},
            {"user_id": ANN, "api_key_id": PRO, "created_at": noon},
            {"user_id": None, "api_key_id": None, "created_at": noon},
            {"user_id": ANN, "api_key_id": PRO, "created_at": None},
        ],
    )
    days = usage_daily(source, CARD, JUNE, JUNE)
    counts = {owner: row["api_requests_count"] for (owner, _), row in days.items()}
    assert counts == {ANN: 1, BOB: 1, UNATTRIBUTED: 1}


def test_trained_tokens_count_when_finished() -> None:
    """A job counts on the day it was created, its tokens and their cost on the day it finished."""
    job = {"user_id": ANN, "created_at": at("2025-05-31"), "base_model": "GPT-4o-mini-2024-07-18"}
    finished = {"finished_at": at("2025-06-02"), "trained_tokens": 2_500_000}
    days = usage_daily(platform(avatar_fine_tune_jobs=[job | finished, job]), CARD, MAY, TODAY)
    assert days[ANN, date(2025, 5, 31)]["fine_tune_jobs_created"] == 2
    assert days[ANN, date(2025, 6, 2)]["trained_tokens"] == 2_500_000
    assert days[ANN, date(2025, 6, 2)]["fine_tuning_cost"] == Decimal("7.5")
    assert days[ANN, date(2025, 5, 31)]["fine_tuning_cost"] is None


def test_nothing_unpriced_and_free_are_three_things() -> None:
    """No quantity costs 0, a quantity without a rate costs NULL, and a mixture costs its priced part."""
    usage = {"user_id": ANN, "usage_date": JUNE, "fine_tuned_model": "ft:gpt-4o-mini-2024-07-18:a::b"}
    image = {"user_id": ANN, "created_at": at("2025-06-01")}
    source = platform(
        avatar_fine_tune_usage=[usage | {"input_tokens": 1_000_000, "output_tokens": 5}],
        generated_images=[image | {"provider": "kie-ai", "model": "mystery"}],
    )
    row = month_of_ann(source)
    assert row["voice_cost"] == Decimal(0)
    assert row["image_cost"] is None
    assert row["inference_cost"] == row["total_cost"] == Decimal("0.30")
    assert row["unpriced"] == {
        "inference": {"gpt-4o-mini": 5},
        "image": {"ai": 1},
        "storage": {"days_without_snapshot": 15},
    }


def test_a_missing_source_is_not_zero() -> None:
    """Without its table a metric and its cost are NULL, or 0 in a column that cannot be NULL."""
    tables = platform(voice_clones=[{"user_id": ANN, "created_at": at("2025-06-01")}]).tables
    present = {
        name: table for name, table in tables.items() if name not in {"tts_generations", "generated_images"}
    }
    row = month_of_ann(Source(present))
    assert (row["tts_characters"], row["voice_cost"], row["image_cost"]) == (None, None, None)
    assert (row["images_generated"], row["rag_searches_count"]) == (0, 0)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("KIE-Nano-Banana", "nano-banana"),
        (" gpt-4o-2024-08-06 ", "gpt-4o"),
        ("gpt-4o-20240806", "gpt-4o"),
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", "gpt-4o-mini"),
        ("dall-e-3", "dall-e-3"),
        (None, ""),
    ],
)
def test_names_are_reduced_to_rate_keys(name: str | None, key: str) -> None:
    """Case, the gateway's prefix, a fine-tune's wrapping and a date do not matter."""
    assert rates.normalised(name) == key


def test_the_rate_of_the_day_applies() -> None:
    """A price holds from its day until the next one's."""
    spoken = [
        {"user_id": ANN, "created_at": at(day), "text": "x" * 500} for day in ("2025-06-01", "2025-06-02")
    ]
    assert month_of_ann(platform(tts_generations=spoken))["voice_cost"] == Decimal("0.15")


def test_a_rate_card_is_read_from_yaml() -> None:
    """Prices are exact decimals."""
    text = (
        "rates: [{kind: image, key: qwen, unit: image, price: '0.0125', from: 2025-01-01}]\ncurrency: USD\n"
    )
    assert rates_from_yaml(text) == [Rate("image", "qwen", "image", Decimal("0.0125"), date(2025, 1, 1))]


def test_byte_days_sum_over_every_day_so_far() -> None:
    """A gigabyte over 15 of 30 days is half a GB-month."""
    known = {JUNE + timedelta(days=offset): {ANN: 10**9} for offset in range(15)}
    row = month_of_ann(platform(), snapshots=known)
    assert (row["storage_bytes"], row["storage_byte_days"]) == (10**9, 15 * 10**9)
    assert row["storage_cost"] == row["total_cost"] == Decimal("0.0105")
    assert row["unpriced"] == {}


def test_a_day_without_snapshot_leaves_the_month_open() -> None:
    """Today's bytes are known all the same."""
    row = month_of_ann(platform(), snapshots={TODAY: {ANN: 7}})
    assert (row["storage_bytes"], row["storage_byte_days"], row["storage_cost"]) == (7, None, None)
    assert row["unpriced"] == {"storage": {"days_without_snapshot": 14}}


def limited(limits: Row, **columns: Any) -> Source:  # noqa: ANN401 - columns of any type
    starter = tier(STARTER, "starter", "9.99", "99.99") | {"limits": limits}
    return platform(
        subscription_tiers=[starter],
        user_subscriptions=[subscription(**columns)],
        voice_clones=[{"user_id": ANN, "created_at": at("2025-06-01")}] * 2,
    )


@pytest.mark.parametrize(
    ("limit", "override", "is_over"),
    [
        (1, None, True),
        (2, None, False),
        (-1, None, False),
        (-3, None, False),
        ("1", None, False),
        (None, None, False),
        (0, {"voice_clones_created": 5}, False),
        (5, {"voice_clones_created": 1}, True),
        (1, {"voice_clones_created": -1}, False),
        (1, ["voice_clones_created"], True),
    ],
)
def test_over_means_above_the_limit(limit: object, override: object, is_over: bool) -> None:
    """The user's own limit wins over the tier's, and what is no whole number from 0 up is none."""
    row = month_of_ann(limited({"voice_clones_created": limit}, custom_limits=override))
    assert row["is_over_limit"] is is_over
    assert ("voice_clones_created" in row["exceeded_limits"]) is is_over


def test_an_expired_override_gives_way_to_the_tier() -> None:
    """From its expiry on the tier's limit holds again."""
    override = {"custom_limits": {"voice_clones_created": 9}, "override_expires_at": at("2025-06-15")}
    row = month_of_ann(limited({"voice_clones_created": 1}, **override))
    assert row["exceeded_limits"] == {"voice_clones_created": {"value": 2, "limit": 1}}


def test_avatars_are_judged_as_they_are_now() -> None:
    """Avatars made long ago count against the current month alone, deleted ones nowhere."""
    avatars: list[Row] = [
        {"user_id": ANN, "created_at": at("2025-05-01"), "status": status}
        for status in ("active", None, "deleted")
    ]
    source = platform(avatars=avatars)
    assert limits_on(source, TODAY).avatars == {ANN: 2}
    assert month_of_ann(source, JUNE)["exceeded_limits"] == {"max_avatars": {"value": 2, "limit": 1}}
    assert month_of_ann(source, MAY)["is_over_avatar_limit"] is False


def test_the_oldest_row_owns_the_object() -> None:
    """Else the path's user does; an object nobody names is an orphan, one without size adds no bytes."""
    url = f"https://x.example/object/public/avatars/{ANN}/avatars/1.png?t=1"
    tables: dict[str, list[Row]] = {
        "storage.objects": [
            {"bucket_id": "avatars", "name": f"{ANN}/avatars/1.png", "metadata": {"size": 10}},
            {"bucket_id": "voice-samples", "name": f"{ANN}/2.mp3", "metadata": {"size": "20"}},
            {"bucket_id": "voice-samples", "name": f"{ANN}/3.mp3", "metadata": None},
            {"bucket_id": "strange", "name": "4", "metadata": {"size": 40}},
        ],
        "avatars": [{"user_id": BOB, "created_at": at("2025-01-01"), "avatar_images": [url]}],
        "profiles": [{"id": ANN, "created_at": at("2025-01-02"), "avatar_url": url}],
    }
    assert storage_ledger(platform(**tables)) == {
        (BOB, "images", "avatars"): Cell(bytes=10, objects=1),
        (ANN, "voice", "voice-samples"): Cell(20, 2, unsized=1, orphan_bytes=20, orphan_objects=2),
        (UNATTRIBUTED, "other", "strange"): Cell(40, 1, orphan_bytes=40, orphan_objects=1),
    }


@pytest.mark.parametrize(
    ("name", "owner"),
    [(f"{ANN}/a.png", ANN), (f"profiles/{ANN}-17.png", ANN), ("profiles/x.png", None), (f"x/{ANN}/a", None)],
)
def test_a_path_names_its_owner(name: str, owner: UUID | None) -> None:
    """In its first segment, or at the beginning of the second under `profiles`."""
    assert path_owner(name) == owner


@pytest.mark.parametrize(
    ("url", "names"),
    [
        (
            "https://x/avatars/u/avatars/1.png?a=/avatars/",
            {("avatars", "u/avatars/1.png"), ("avatars", "u/avatars/1.png?a=/avatars/")},
        ),
        ("https://x/avatars/u/a%20%C3%BC.png", {("avatars", "u/a%20%C3%BC.png"), ("avatars", "u/a ü.png")}),
        ("https://x/avatars/%FF%00", {("avatars", "%FF%00")}),
        ("https://x/object/sign/elsewhere/u.png", {("elsewhere", "u.png")}),
        ("data:image/png;base64,AA/avatars/u", set()),
        ("https://x/elsewhere/u.png", set()),
        (None, set()),
    ],
)
def test_a_url_names_what_follows_the_bucket(url: str | None, names: set[tuple[str, str]]) -> None:
    """The first mention counts, as it stands and decoded, and data within the row names nothing."""
    assert names_in_url(url, "avatars") == names


@pytest.mark.parametrize(
    ("metadata", "size"),
    [({"size": 0}, 0), ({"size": "12"}, 12), ({"size": -1}, None), ({"size": 1.5}, None), ([], None)],
)
def test_a_size_is_a_whole_number_or_unknown(metadata: object, size: int | None) -> None:
    """Unknown is not 0."""
    assert size_of(metadata) == size


def test_a_seed_makes_the_same_data_again() -> None:
    """A row stays what it is when other tables shrink."""
    full = dict.fromkeys(MAKERS, 4)
    again = dataset(TODAY, 7, full)
    fewer = dataset(TODAY, 7, full | {"purchases": 1})
    assert dataset(TODAY, 7, full).rows == again.rows
    assert fewer.rows["avatars"] == again.rows["avatars"]
    assert fewer.rows["purchases"] == again.rows["purchases"][:1]
