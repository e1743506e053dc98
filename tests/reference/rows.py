"""One nasty row of each table the jobs read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from tests.reference.chance import Chance
from tests.reference.source import Row

GHOST = UUID("dddddddd-dddd-4ddd-8ddd-dddddddddddd")
"""A user id that no account has."""
SITE = "https://project.supabase.co/storage/v1/object/public"
TIER_PRICES = {
    "free": ("0", "0"),
    "starter": ("9.99", "99.99"),
    "pro": ("29.99", "299.99"),
    "enterprise": ("299", "2999"),
    "odd": ("0.01", "7.77"),
    "gift": ("0", "0"),
}
BUCKETS = (
    "avatars",
    "knowledge-base",
    "training-files",
    "avatar-memories",
    "generated-images",
    "generated-videos",
    "voice-samples",
    "avatar-files",
)
FINE_TUNED = (
    "ft:gpt-4o-mini-2024-07-18:acme::a1",
    "FT:GPT-4o-2024-08-06:Acme:x:b2",
    " ft:gpt-3.5-turbo-0125:acme::c3 ",
    "ft:llama-3-8b:acme::d4",
    "gpt-4o-20240806",
    "",
)
BASE_MODELS = ("gpt-4o-mini-2024-07-18", "GPT-4o", "gpt-3.5-turbo-0125", "gpt-4.1-nano-2025-04-14", "")
IMAGE_PROVIDERS = ("kie-ai", "kie-nano-banana", "KIE-Imagen4-Ultra", "openai", "stability", "", None)
IMAGE_MODELS = ("nano-banana", "DALL-E-3", "kie-seedream-20250828", " qwen ", "mystery-9", "", None)
VIDEO_PROVIDERS = ("sora-2-pro", "kie-veo3-fast", "Kie-Hailuo-Pro", "kling", "")
VIDEO_MODELS = ("veo3-quality", "hailuo", "mystery-9", None)
SPOKEN = ("", "a", "Grüße, мир", "😀" * 7, "two\nlines", "x" * 2500)
SIZES: tuple[object, ...] = (
    {"size": 0},
    {"size": 1, "eTag": ""},
    {"size": 1, "eTag": '"d41d8cd9"'},
    *[{"size": 1234, "eTag": '"0cc175b9"'}] * 4,
    *[{"size": 333_333, "eTag": "92eb5ffe-2"}] * 3,
    {"size": 77, "eTag": '"0cc175b9"'},
    {"eTag": '"0cc175b9"'},
    {"size": 333_333, "eTag": 7},
    {"size": 2_000_000},
    {"size": 5_000_000_000},
    {"size": "77"},
    {"size": -1},
    {"size": 1.5},
    {"size": "big"},
    {"size": None},
    {"size": True},
    {},
    [],
    None,
)
LIMITED = (
    "avatars_created",
    "conversations_count",
    "chat_messages_count",
    "images_generated",
    "trained_tokens",
    "tts_characters",
    "api_requests_count",
    "storage_bytes",
    "unicorns",
)
LIMITS = (-1, 0, 1, 2, 2, 3, 500, -5, "3", None, True)


@dataclass
class World:
    """The rows made so far, and which row named which stored object."""

    rows: dict[str, list[Row]]
    _namers: dict[tuple[str, str, datetime | None], UUID | None] = field(default_factory=dict)

    def of(self, chance: Chance, table: str) -> Row | None:
        """Return one of the table's rows, or None while it has none."""
        rows = self.rows.get(table, [])
        return chance.pick(*rows) if rows else None

    def key(self, chance: Chance, bucket: str, owner: UUID | None, moment: datetime | None) -> str:
        """Return the key of an object to name, or of none.

        Two owners never name one object at the same moment: which of them is the older is nowhere defined.
        """
        names = [row["name"] for row in self.rows["storage.objects"] if row["bucket_id"] == bucket]
        key = chance.pick(*names) if names and chance.happens(0.8) else f"{owner}/gone-{chance.uuid()}"
        if self._namers.setdefault((bucket, key, moment), owner) != owner:
            return f"{owner}/gone-{chance.uuid()}"
        return key

    def url(self, chance: Chance, bucket: str, owner: UUID | None, moment: datetime | None) -> str:
        """Return a URL: of an object, of a provider's, of another bucket, or the data itself."""
        key = self.key(chance, bucket, owner, moment)
        return chance.pick(
            f"{SITE}/{bucket}/{key}",
            f"{SITE}/{bucket}/{key}?token=a/{bucket}/b",
            f"{SITE}/{bucket}/{quote(key)}",
            f"{SITE}/{bucket}/{quote(key, safe='').lower()}?t=1",
            f"{SITE}/elsewhere/{key}",
            f"https://cdn.provider.example/tmp/{key}",
            f"data:image/png;base64,AA/{bucket}/{key}",
        )

    def mention(self, chance: Chance) -> str | None:
        """Return a URL that shows an object of any bucket without making it anybody's, mostly none."""
        stored = self.of(chance, "storage.objects")
        if stored is None or not chance.happens(0.3):
            return None
        return f"{SITE.replace('public', chance.pick('public', 'sign'))}/{stored['bucket_id']}/{quote(stored['name'])}"


Maker = Callable[[Chance, World, int], Row | None]
"""Makes the row of a number, or None where a row it depends on is missing."""


def tiers(chance: Chance) -> list[Row]:
    """Return the tiers, by name, with limits of every sort."""
    return [
        {
            "name": name,
            "display_name": name.capitalize(),
            "price_monthly": monthly,
            "price_yearly": yearly,
            "max_avatars": chance.pick(-1, 0, 1, 1, 2, -3),
            "limits": _limits(chance),
        }
        for name, (monthly, yearly) in TIER_PRICES.items()
    ]


def _limits(chance: Chance) -> dict[str, Any]:
    return {chance.pick(*LIMITED): chance.pick(*LIMITS) for _ in range(chance.number(4))}


def _override(chance: Chance) -> object:
    if chance.happens(0.1):
        return chance.pick("none", [], 5)
    avatars = {"max_avatars": chance.pick(*LIMITS)} if chance.happens(0.5) else {}
    return chance.maybe(_limits(chance) | avatars, 0.6)


def _user(chance: Chance, _: World, number: int) -> Row:
    return {
        "id": chance.uuid(),
        "email": f"user{number}@example.org",
        "created_at": chance.moment(),
        "last_sign_in_at": chance.maybe(chance.moment()),
        "deleted_at": chance.maybe(chance.moment(), 0.15),
    }


def _object(chance: Chance, world: World, number: int) -> Row:
    bucket, user = chance.pick(*BUCKETS), world.of(chance, "auth.users")
    owner = chance.pick(user["id"] if user else GHOST, user["id"] if user else GHOST, GHOST, "system")
    profiles = [f"profiles/{owner}-{number}.png"] if bucket == "avatars" else []
    odd = f"{owner}/50% de ü+ & {number}?.bin"
    name = chance.pick(f"{owner}/{bucket}/{number}.bin", f"{owner}/{number}.bin", odd, *profiles)
    created = chance.maybe(chance.moment(), 0.95)
    return {"bucket_id": bucket, "name": name, "metadata": chance.pick(*SIZES), "created_at": created}


def _profile(chance: Chance, world: World, number: int) -> Row | None:
    users = world.rows["auth.users"]
    if number >= len(users):
        return None
    user, created = users[number]["id"], users[number]["created_at"]
    return {
        "id": user,
        "email": users[number]["email"],
        "created_at": created,
        "last_login": chance.maybe(chance.moment()),
        "avatar_url": chance.maybe(world.url(chance, "avatars", user, created)),
        "account_status": chance.pick(*["active"] * 8, "suspended", "banned", "deleted", None),
        "subscription_tier_id": chance.maybe(chance.pick(*TIER_PRICES), 0.4),
    }


def _subscription(chance: Chance, world: World, _: int) -> Row | None:
    user = world.of(chance, "auth.users")
    return user and {
        "id": chance.uuid(),
        "user_id": user["id"],
        "tier_id": chance.pick(*TIER_PRICES, "starter", "pro", "odd"),
        "status": chance.pick(*["active"] * 6, "cancelled", "cancelled", "expired", "suspended", "trial"),
        "billing_cycle": chance.pick("monthly", "monthly", "monthly", "yearly", "yearly", "lifetime"),
        "started_at": chance.end() if chance.happens(0.2) else chance.moment(),
        "expires_at": chance.maybe(chance.end(), 0.5),
        "is_trial": chance.happens(0.2),
        "trial_ends_at": chance.maybe(chance.end(), 0.5),
        "custom_limits": _override(chance),
        "override_expires_at": chance.maybe(chance.expiry_of_override(), 0.4),
        "created_at": chance.moment(),
    }


def _avatar(chance: Chance, world: World, _: int) -> Row:
    profile, created = world.of(chance, "profiles"), chance.moment()
    user = chance.maybe(profile["id"] if profile else None, 0.85)
    return {
        "id": chance.uuid(),
        "user_id": user,
        "name": "Avatar",
        "status": chance.pick("active", "active", "archived", "deleted", "deleted", None),
        "created_at": created,
        "deleted_at": chance.maybe(chance.moment(), 0.5),
        "avatar_images": chance.maybe(
            [world.url(chance, "avatars", user, created) for _ in range(chance.number(2))]
        ),
        "gallery_images": [world.mention(chance)],
    }


def _key(chance: Chance, world: World, _: int) -> Row | None:
    user, identifier = world.of(chance, "auth.users"), chance.uuid()
    return user and {
        "id": identifier,
        "user_id": user["id"],
        "key_name": "key",
        "api_key_hash": identifier.hex,
        "api_key_prefix": "pk_live_0123456...",
    }


def _request(chance: Chance, world: World, _: int) -> Row:
    user, key = world.of(chance, "auth.users"), world.of(chance, "platform_api_keys")
    return {
        "user_id": chance.maybe(user["id"] if user else None, 0.5),
        "api_key_id": chance.maybe(key["id"] if key else None),
        "endpoint": "/chat",
        "method": "POST",
        "created_at": chance.maybe(chance.moment(), 0.9),
    }


def _conversation(chance: Chance, world: World, _: int) -> Row | None:
    avatar = world.of(chance, "avatars")
    return avatar and {
        "avatar_id": avatar["id"],
        "phone_number": "+10000000",
        "text": "user: hi | assistant: hello",
        "timestamp": chance.moment(),
    }


def _memory(chance: Chance, world: World, _: int) -> Row | None:
    avatar, user = world.of(chance, "avatars"), world.of(chance, "auth.users")
    return avatar and {
        "id": chance.uuid(),
        "avatar_id": avatar["id"],
        "user_id": chance.pick(user["id"] if user else GHOST, GHOST),
        "title": "",
        "memory_date": chance.day(),
        "image_url": world.mention(chance) or "",
        "image_path": "",
        "memory_description": "",
        "memory_summary": "",
        "created_at": chance.moment(),
    }


def _memory_image(chance: Chance, world: World, _: int) -> Row | None:
    memory, user, created = (
        world.of(chance, "avatar_memories"),
        world.of(chance, "auth.users"),
        chance.moment(),
    )
    owner = chance.pick(user["id"] if user else GHOST, GHOST)
    return memory and {
        "memory_id": memory["id"],
        "user_id": owner,
        "image_url": "",
        "thumbnail_url": world.mention(chance),
        "image_path": world.key(chance, "avatar-memories", owner, created),
        "created_at": created,
    }


def _of_user(table: str, columns: Callable[[Chance, World, UUID], Row]) -> Maker:
    """Make rows of a table whose user stands in `table`; `columns` says the rest."""

    def make(chance: Chance, world: World, _: int) -> Row | None:
        user = world.of(chance, table)
        return user and {"user_id": user["id"], **columns(chance, world, user["id"])}

    return make


def _of_avatar(table: str, columns: Callable[[Chance, World, UUID], Row]) -> Maker:
    """Make rows of a user's, whoever owns the avatar they are about."""
    with_user = _of_user(table, columns)

    def make(chance: Chance, world: World, number: int) -> Row | None:
        avatar, row = world.of(chance, "avatars"), with_user(chance, world, number)
        return avatar and row and {"avatar_id": avatar["id"], **row}

    return make


def _image(chance: Chance, world: World, user: UUID) -> Row:
    created = chance.moment()
    return {
        "prompt": "",
        "created_at": created,
        "provider": chance.pick(*IMAGE_PROVIDERS),
        "model": chance.pick(*IMAGE_MODELS),
        "image_url": world.url(chance, "generated-images", user, created),
        "original_image_url": chance.maybe(world.url(chance, "generated-images", user, created), 0.3),
        "thumbnail_url": world.mention(chance),
    }


def _video(chance: Chance, world: World, user: UUID) -> Row:
    created = chance.maybe(chance.moment(), 0.9)
    return {
        "task_id": "task",
        "prompt": "",
        "created_at": created,
        "completed_at": chance.maybe(chance.moment()),
        "status": chance.pick("completed", "completed", "completed", "failed", "processing", None),
        "provider": chance.pick(*VIDEO_PROVIDERS),
        "model": chance.pick(*VIDEO_MODELS),
        "video_url": chance.maybe(world.url(chance, "generated-videos", user, created)),
        "thumbnail_url": world.mention(chance),
    }


def _file(bucket: str) -> Callable[[Chance, World, UUID], Row]:
    def columns(chance: Chance, world: World, user: UUID) -> Row:
        uploaded = chance.moment()
        stored = world.of(chance, "storage.objects")
        return {
            "file_name": stored["name"] if stored and chance.happens(0.3) else "f",
            "original_name": "f",
            "file_path": world.key(chance, bucket, user, uploaded),
            "file_size": 1 + chance.number(10**6),
            "content_type": "application/pdf",
            "uploaded_at": uploaded,
        }

    return columns


def _training_file(chance: Chance, world: World, number: int) -> Row | None:
    training = world.of(chance, "avatar_training_data")
    row = _of_user("profiles", _file("training-files"))(chance, world, number)
    return training and row and {"training_data_id": training["id"], **row}


def _job(chance: Chance, _world: World, _user: UUID) -> Row:
    return {
        "openai_job_id": f"ftjob-{chance.uuid()}",
        "base_model": chance.pick(*BASE_MODELS),
        "status": chance.pick("queued", "running", "succeeded", "succeeded", "failed"),
        "trained_tokens": chance.pick(None, 0, 1, 999_999, 2_500_001),
        "created_at": chance.maybe(chance.moment(), 0.9),
        "finished_at": chance.maybe(chance.moment()),
    }


def _inference(chance: Chance, _world: World, _user: UUID) -> Row:
    return {
        "fine_tuned_model": chance.pick(*FINE_TUNED),
        "usage_date": chance.maybe(chance.day(), 0.9),
        "input_tokens": chance.pick(None, 0, 1, 1234, 2_000_003),
        "output_tokens": chance.pick(None, 0, 7, 1_000_000),
    }


def _feedback(chance: Chance, _world: World, _user: UUID) -> Row:
    return {
        "user_message": "",
        "avatar_response": "",
        "feedback": chance.pick("neutral", "neutral", "good", "bad", None),
        "created_at": chance.maybe(chance.moment(), 0.9),
    }


def _sample(chance: Chance, world: World, user: UUID) -> Row:
    created = chance.moment()
    return {
        "filename": "f",
        "file_url": world.url(chance, "voice-samples", user, created),
        "file_size_bytes": chance.maybe(chance.number(10**6)),
        "created_at": created,
    }


def _speech(chance: Chance, world: World, user: UUID) -> Row:
    created = chance.moment()
    return {
        "text": chance.pick(*SPOKEN),
        "audio_url": chance.maybe(world.url(chance, "voice-samples", user, created)),
        "created_at": created,
        "model": chance.pick(None, "eleven_multilingual_v2", "Eleven_Turbo-2024"),
    }


def _purchase(chance: Chance, _world: World, _user: UUID) -> Row:
    return {
        "price_paid": chance.pick("0.00", "0.01", "19.99", "1000.50"),
        "currency": chance.pick("USD", "USD", "EUR", None),
        "status": chance.pick("completed", "completed", "completed", "pending", "refunded", "failed", None),
        "purchased_at": chance.moment(),
    }


def _dated(**filled: str) -> Callable[[Chance, World, UUID], Row]:
    return lambda chance, _world, _user: {**filled, "created_at": chance.moment()}


def _training(chance: Chance, _world: World, _user: UUID) -> Row:
    return {"id": chance.uuid(), "created_at": chance.moment()}


MAKERS: Mapping[str, Maker] = {
    "auth.users": _user,
    "storage.objects": _object,
    "profiles": _profile,
    "user_subscriptions": _subscription,
    "avatars": _avatar,
    "platform_api_keys": _key,
    "api_request_logs": _request,
    "conversations": _conversation,
    "conversation_feedback": _of_avatar("auth.users", _feedback),
    "generated_images": _of_user("profiles", _image),
    "generated_videos": _of_user("auth.users", _video),
    "avatar_memories": _memory,
    "memory_images": _memory_image,
    "avatar_knowledge_files": _of_avatar("profiles", _file("knowledge-base")),
    "avatar_training_data": _of_avatar("profiles", _training),
    "avatar_training_files": _training_file,
    "avatar_fine_tune_jobs": _of_avatar("auth.users", _job),
    "avatar_fine_tune_usage": _of_avatar("auth.users", _inference),
    "voice_clones": _of_user("auth.users", _dated(name="clone", elevenlabs_voice_id="voice")),
    "voice_samples": _of_user("auth.users", _sample),
    "tts_generations": _of_user("auth.users", _speech),
    "rag_search_logs": _of_avatar("profiles", _dated(query_text="")),
    "purchases": _of_avatar("profiles", _purchase),
}
"""How a row of each table is made, in an order in which each finds those it depends on."""
