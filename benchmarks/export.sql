-- One month of monthly_usage for many users.
-- psql variables: rows, month (its first day).
BEGIN;
-- Rows are made wholesale: no trigger writes profiles, no foreign key is looked up.
SET LOCAL session_replication_role = replica;

INSERT INTO auth.users (id, email, created_at)
SELECT md5('user' || number)::uuid, format('user%s@example.com', number), :'month'
FROM generate_series(1, :rows) AS number;

INSERT INTO monthly_usage (
    user_id, usage_month, conversations_count, chat_messages_count, images_generated, tts_characters,
    api_requests_count, rag_searches_count, storage_bytes, voice_cost, image_cost, total_cost, unpriced,
    is_over_limit, exceeded_limits, computed_at)
SELECT md5('user' || number)::uuid, :'month', number % 1000, number % 700, number % 90, number % 50000,
       number % 3000, number % 400, number * 1000, number % 1000 * 0.00022, number % 90 * 0.04,
       number % 1000 * 0.00022 + number % 90 * 0.04, '{}', false, '{}', now()
FROM generate_series(1, :rows) AS number;
COMMIT;

VACUUM (ANALYZE);
