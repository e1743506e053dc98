-- Accounts as `user list` reads them: profiles, subscriptions, avatars, keys, three months of usage, sixty days.
-- psql variables: users, today.
BEGIN;
-- Rows are made wholesale: no trigger writes profiles, no foreign key is looked up.
SET LOCAL session_replication_role = replica;

CREATE TEMPORARY TABLE numbered ON COMMIT DROP AS
SELECT number, md5('user' || number)::uuid AS id FROM generate_series(1, :users) AS number;

INSERT INTO auth.users (id, email, created_at, last_sign_in_at, banned_until, deleted_at)
SELECT id, format('user%s@example.com', number), :'today'::timestamp - number * interval '7 minutes',
       :'today'::timestamp - number % 400 * interval '1 day',
       CASE WHEN number % 500 = 0 THEN 'infinity'::timestamptz END,
       CASE WHEN number % 700 = 0 THEN :'today'::timestamptz END
FROM numbered;

INSERT INTO profiles (id, email, name, referral_code, account_status, subscription_tier_id)
SELECT n.id, format('user%s@example.com', number), 'Person ' || md5('name' || number), to_hex(number),
       CASE WHEN number % 500 = 0 THEN 'banned' WHEN number % 300 = 0 THEN 'suspended' ELSE 'active' END, t.id
FROM numbered n JOIN subscription_tiers t ON t.name = 'free';

-- A fifth pays or has paid, and some of them have changed their plan.
INSERT INTO user_subscriptions (user_id, tier_id, status, started_at)
SELECT n.id, t.id, CASE WHEN number % 15 = 0 THEN 'expired' ELSE 'active' END,
       :'today'::timestamp - number % 300 * interval '1 day' - t.sort_order * interval '1 hour'
FROM numbered n JOIN subscription_tiers t ON t.name = 'pro' AND number % 5 = 0 OR t.name = 'starter' AND number % 25 = 0;

INSERT INTO avatars (user_id, name, created_at)
SELECT id, 'Avatar', :'today'::timestamp - number % 300 * interval '1 day'
FROM numbered, generate_series(1, number % 4);

INSERT INTO platform_api_keys (user_id, key_name, api_key_hash, api_key_prefix)
SELECT id, 'key', md5('key' || number), 'pk_live_0000000...' FROM numbered WHERE number % 3 = 0;

INSERT INTO monthly_usage (
    user_id, usage_month, conversations_count, chat_messages_count, images_generated, tts_characters,
    api_requests_count, rag_searches_count, storage_bytes, voice_cost, image_cost, total_cost, unpriced,
    is_over_limit, exceeded_limits, computed_at)
SELECT id, (date_trunc('month', :'today'::timestamp) - back * interval '1 month')::date, number * 7919 % 1000,
       number * 31 % 700, number % 90, number % 50000, number % 3000, number % 400, number::bigint * 7919 % 100000 * 100000,
       number % 1000 * 0.00022, number % 90 * 0.04, number % 1000 * 0.00022 + number % 90 * 0.04, '{}',
       number % 50 = 0, '{}', now()
FROM numbered, generate_series(0, 2) AS back;

-- Each is active on every sixth of the last sixty days, until leaving.
INSERT INTO avatarlab_admin.usage_daily (day, user_id, chat_messages_count, definition_version)
SELECT :'today'::date - back, id, 1 + number % 9, 1
FROM numbered, generate_series(0, 59) AS back
WHERE (number + back) % 6 = 0 AND back >= number % 90
ORDER BY 1, 2;
COMMIT;

VACUUM (ANALYZE);
