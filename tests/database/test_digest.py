"""The digest of a closed month: the same for the same rows, whatever server computes it."""

from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.database import Database
from avatarlab_cli.rollup.frozen import DIGEST
from tests.database.comparing import rolled_back
from tests.reference.closing import as_jsonb, digest

USER, NOBODY = UUID("0a0b0c0d-0000-4000-8000-000000000001"), UUID(int=0)
ROWS = (
    "insert into auth.users (id, email) values (:user, 'a@example.com')",
    """
    insert into monthly_usage (user_id, usage_month, images_generated, image_cost, total_cost, unpriced, exceeded_limits,
        is_over_limit, storage_bytes, definition_version, rate_card_version, computed_at)
    values (:user, '2025-01-01', 3, 0.06, 0.06, '{"voice": {"ünknown": 7, "b": 1.50}}',
        '{"images_generated": {"value": 3, "limit": 2}}', true, 9007199254740993, 2, 'card', now())
    """,
    """
    insert into avatarlab_admin.usage_daily (day, user_id, api_requests_count, storage_cost, definition_version)
    values ('2025-01-31', :nobody, 4, 0.000000000000000123, 2)
    """,
    "insert into avatarlab_admin.period_close (month, digest) values ('2025-01-01', '')",
)
COUNTS = (
    *("avatars_created", "conversations_count", "chat_messages_count", "feedback_good", "feedback_bad"),
    *("images_generated", "videos_generated", "memories_added", "knowledge_files_uploaded"),
    *("training_jobs_created", "fine_tune_jobs_created", "trained_tokens", "inference_input_tokens"),
    *("inference_output_tokens", "voice_clones_created", "tts_generations", "tts_characters"),
    *("api_requests_count", "rag_searches_count", "storage_bytes"),
)
COSTS = ("fine_tuning_cost", "inference_cost", "voice_cost", "image_cost", "video_cost", "storage_cost")
# What a row of the web panel's table cannot leave open.
ZEROS = (
    *("avatars_created", "conversations_count", "memories_added", "knowledge_files_uploaded"),
    *("training_jobs_created", "voice_clones_created"),
)
MONTH: dict[str, object] = {
    **dict.fromkeys((*COUNTS, *COSTS, "storage_byte_days", "storage_days_interpolated")),
    **dict.fromkeys(ZEROS, 0),
    "images_generated": 3,
    "storage_bytes": 9007199254740993,
    "image_cost": Decimal("0.060000"),
    "total_cost": Decimal("0.060000"),
    "unpriced": {"voice": {"ünknown": 7, "b": Decimal("1.50")}},
    "is_over_limit": True,
    "exceeded_limits": {"images_generated": {"value": 3, "limit": 2}},
    "definition_version": 2,
    "rate_card_version": "card",
}
DAY: dict[str, object] = {
    **dict.fromkeys((*COUNTS, *COSTS)),
    "api_requests_count": 4,
    "storage_cost": Decimal("0.000000000000000123"),
    "unpriced": {},
    "definition_version": 2,
    "rate_card_version": None,
}
# A digest on record must not change: where it does here, closed months would read as altered.
KNOWN = "c685d8e2ad848008243ce60d1ad9853cdbc34c6da6a1340f8ae7e812e9b31f69"


def test_known_rows_have_a_known_digest(migrated: Database) -> None:
    """It is that of the lines the documentation describes, in any time zone, and this very one on any server."""
    lines = (f"{NOBODY} 2025-01-31 {as_jsonb(DAY)}", f"{USER} {as_jsonb(MONTH)}")
    statement = sa.text(f"select {DIGEST} from avatarlab_admin.period_close p")
    with rolled_back(migrated) as connection:
        for row in ROWS:
            values = sa.text(row.replace(": ", "\\: "))
            connection.execute(
                values, {n: v for n, v in {"user": USER, "nobody": NOBODY}.items() if f":{n}" in row}
            )
        assert connection.scalar(statement) == digest(lines) == KNOWN
        for setting in ("timezone = 'Pacific/Auckland'", "datestyle = 'German'", "extra_float_digits = 0"):
            connection.execute(sa.text(f"set local {setting}"))
        assert connection.scalar(statement) == KNOWN
