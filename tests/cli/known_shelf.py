"""Avatars, images, videos, memories and purchases of two users, each row unlike the others."""

from uuid import UUID

import psycopg

from tests.cli.conftest import ADA, EMAILS, EVE

NOVA, ORION, MILO, CLEO = (UUID(int=number << 120) for number in range(0xD1, 0xD5))
FOX, OWL, HARE = (UUID(int=number << 120) for number in range(0xE1, 0xE4))
LOST, MADE = (UUID(int=number << 120) for number in range(0xF1, 0xF3))
BEACH, LAKE, ATTIC = (UUID(int=number << 120) for number in range(0xB1, 0xB4))
GHOST = UUID(int=0xAB << 120)
_ROWS = f"""
    INSERT INTO auth.users (id, email) VALUES ('{ADA}', '{EMAILS[ADA]}'), ('{EVE}', '{EMAILS[EVE]}');
    INSERT INTO avatars (id, user_id, name, status, is_public, created_at) VALUES
        ('{NOVA}', '{ADA}', 'Nova 100%_', 'active', true, '2025-06-10Z'),
        ('{ORION}', '{ADA}', 'Orion', 'deleted', false, '2025-05-01Z'),
        ('{MILO}', '{EVE}', 'Milo', 'deleted', false, '2025-04-01Z');
    INSERT INTO avatars (id, name, price, rating, total_sales, is_marketplace_item, is_public, created_at) VALUES
        ('{CLEO}', 'Cleo', 4.99, 4.5, 900, true, true, '2025-01-01Z');
    UPDATE avatars SET deleted_at = '2025-05-10Z', scheduled_hard_delete_at = '2025-06-09Z', deletion_reason = 'bored'
        WHERE name = 'Orion';
    UPDATE avatars SET deleted_at = '2025-06-01Z', scheduled_hard_delete_at = '2025-07-01Z' WHERE name = 'Milo';
    UPDATE avatars SET is_flagged = true, flagged_reason = 'looks real', moderation_status = 'flagged',
        flagged_at = '2025-06-12Z' WHERE name LIKE 'Nova%';
    UPDATE avatars SET moderation_status = 'pending' WHERE name = 'Cleo';
    INSERT INTO generated_images (id, user_id, prompt, provider, model, image_url, created_at) VALUES
        ('{FOX}', '{ADA}', 'a fox', 'kie-qwen', 'qwen', 'https://x.supabase.co/storage/v1/object/public/generated-images/a.png', '2025-06-14Z'),
        ('{OWL}', '{ADA}', 'an owl', 'KIE-Qwen', 'qwen', 'https://kie.example/a.png', '2025-06-13Z'),
        ('{HARE}', '{EVE}', repeat('hare ', 60), 'openai', 'dall-e-3', 'data:image/png;base64,' || repeat('A', 1000), '2025-06-12Z');
    UPDATE generated_images SET is_flagged = true, flagged_reason = 'cruel', moderation_status = 'flagged' WHERE id = '{HARE}';
    INSERT INTO generated_videos (id, user_id, task_id, prompt, provider, status, created_at, completed_at) VALUES
        ('{LOST}', '{EVE}', 'task-1', 'waves', 'sora-2-pro', 'processing', '2025-06-13Z', NULL),
        ('{MADE}', '{ADA}', 'task-2', 'rain', 'sora-2-pro', 'completed', '2025-06-14Z', '2025-06-14 00:01:30Z');
    INSERT INTO avatar_memories (id, avatar_id, user_id, title, memory_date, image_url, image_path, memory_description, memory_summary, is_private, created_at) VALUES
        ('{BEACH}', '{NOVA}', '{ADA}', 'A day at the beach', '2024-07-01', '', '', '', '', false, '2025-06-14Z'),
        ('{LAKE}', '{NOVA}', '{ADA}', 'What nobody may know', '2024-07-02', '', '', '', '', true, '2025-06-13Z'),
        ('{ATTIC}', '{NOVA}', '{GHOST}', 'In the attic', '2024-07-03', '', '', '', '', false, '2025-06-12Z');
    INSERT INTO memory_images (memory_id, user_id, image_url, image_path, image_order, is_primary)
        VALUES ('{BEACH}', '{ADA}', '', '', 0, true), ('{BEACH}', '{ADA}', '', '', 1, false), ('{LAKE}', '{ADA}', '', '', 0, false);
    INSERT INTO purchases (user_id, avatar_id, price_paid, currency, status, purchased_at) VALUES
        ('{ADA}', '{CLEO}', 4.99, 'USD', 'completed', '2025-06-14 23:59Z'), ('{EVE}', '{CLEO}', 4.99, 'EUR', 'completed', '2025-06-14Z'),
        ('{EVE}', '{ORION}', 7.00, NULL, 'completed', '2025-06-10Z'), ('{ADA}', '{NOVA}', 3.00, 'usd', 'refunded', '2025-06-10Z');
"""


def write_shelf(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Write them."""
    connection.execute(_ROWS.encode())
