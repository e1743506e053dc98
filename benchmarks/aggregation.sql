-- What the job monthly-usage leaves of the benchmark's platform, written by hand for that platform alone: only the
-- tables that hold rows are read, there is one tier, one rate, one day of storage and nothing stored.
-- psql variables: work_mem, today, rates (the rate card's version).
BEGIN;
SET LOCAL work_mem = :'work_mem';
SET LOCAL timezone = 'UTC';

CREATE TEMPORARY TABLE day_fresh ON COMMIT DROP AS
WITH request AS (
    SELECT (created_at AT TIME ZONE 'UTC')::date AS day, user_id, CASE WHEN user_id IS NULL THEN api_key_id END AS key,
           count(*) AS requests
    FROM api_request_logs WHERE created_at IS NOT NULL GROUP BY 1, 2, 3
), exchange AS (
    SELECT ("timestamp" AT TIME ZONE 'UTC')::date AS day, avatar_id, count(*) AS exchanges
    FROM conversations GROUP BY 1, 2
), search AS (
    SELECT (created_at AT TIME ZONE 'UTC')::date AS day, user_id, count(*) AS searches
    FROM rag_search_logs GROUP BY 1, 2
), speech AS (
    SELECT (created_at AT TIME ZONE 'UTC')::date AS day, user_id, count(*) AS texts, sum(length(text)) AS characters
    FROM tts_generations GROUP BY 1, 2
), avatar AS (
    SELECT (created_at AT TIME ZONE 'UTC')::date AS day, user_id, count(*) AS made FROM avatars GROUP BY 1, 2
), everything AS (
    SELECT r.day, coalesce(r.user_id, k.user_id) AS user_id,
           r.requests, 0 AS exchanges, 0 AS searches, 0 AS texts, 0 AS characters, 0 AS made
    FROM request r LEFT JOIN platform_api_keys k ON k.id = r.key
    UNION ALL
    SELECT e.day, a.user_id, 0, e.exchanges, 0, 0, 0, 0 FROM exchange e JOIN avatars a ON a.id = e.avatar_id
    UNION ALL
    SELECT day, user_id, 0, 0, searches, 0, 0, 0 FROM search
    UNION ALL
    SELECT day, user_id, 0, 0, 0, texts, characters, 0 FROM speech
    UNION ALL
    SELECT day, user_id, 0, 0, 0, 0, 0, made FROM avatar
)
SELECT day, coalesce(user_id, '00000000-0000-0000-0000-000000000000') AS user_id, sum(requests)::bigint AS requests,
       sum(exchanges)::bigint AS exchanges, sum(searches)::bigint AS searches, sum(texts)::bigint AS texts,
       sum(characters)::bigint AS characters, sum(made)::bigint AS made
FROM everything
GROUP BY 1, 2
ORDER BY 1, 2;

INSERT INTO avatarlab_admin.usage_daily (
    day, user_id, avatars_created, conversations_count, chat_messages_count, feedback_good, feedback_bad,
    images_generated, videos_generated, memories_added, knowledge_files_uploaded, training_jobs_created,
    fine_tune_jobs_created, trained_tokens, inference_input_tokens, inference_output_tokens, voice_clones_created,
    tts_generations, tts_characters, api_requests_count, rag_searches_count, storage_bytes, voice_cost, unpriced,
    definition_version, rate_card_version)
SELECT day, user_id, made, exchanges, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, texts, characters, requests, searches,
       CASE WHEN day = :'today' THEN 0 END, nullif(characters, 0) * 0.00022, '{}', 2, :'rates'
FROM day_fresh;

INSERT INTO monthly_usage (
    user_id, usage_month, avatars_created, conversations_count, chat_messages_count, feedback_good, feedback_bad,
    images_generated, videos_generated, memories_added, knowledge_files_uploaded, training_jobs_created,
    fine_tune_jobs_created, trained_tokens, inference_input_tokens, inference_output_tokens, voice_clones_created,
    tts_generations, tts_characters, api_requests_count, rag_searches_count, storage_bytes, storage_days_interpolated,
    fine_tuning_cost, inference_cost, voice_cost, image_cost, video_cost, total_cost, unpriced,
    is_over_limit, exceeded_limits, is_over_avatar_limit, definition_version, rate_card_version, computed_at)
WITH owned AS (
    SELECT user_id, count(*) AS avatars, count(*) > t.max_avatars AS is_over
    FROM avatars, subscription_tiers t
    WHERE t.name = 'free' AND user_id IS NOT NULL AND status IS DISTINCT FROM 'deleted'
    GROUP BY user_id, t.max_avatars
), day AS (
    SELECT * FROM day_fresh WHERE user_id <> '00000000-0000-0000-0000-000000000000'
    UNION ALL
    -- Who has too many avatars has a row although nothing happened.
    SELECT date :'today', user_id, 0, 0, 0, 0, 0, 0 FROM owned WHERE is_over
), month AS (
    SELECT user_id, date_trunc('month', day)::date AS usage_month, sum(made) AS made, sum(exchanges) AS exchanges,
           sum(texts) AS texts, sum(characters) AS characters, sum(requests) AS requests, sum(searches) AS searches
    FROM day
    GROUP BY 1, 2
)
SELECT m.user_id, m.usage_month, made, exchanges, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, texts, characters,
       requests, searches, CASE WHEN is_now THEN 0 END, CASE WHEN is_now THEN 0 END, 0, 0, characters * 0.00022, 0, 0, characters * 0.00022,
       jsonb_build_object('storage', jsonb_build_object('days_without_snapshot',
           least((usage_month + interval '1 month')::date, date :'today' + 1) - usage_month - is_now::int)),
       o.user_id IS NOT NULL,
       CASE WHEN o.user_id IS NULL THEN '{}'
            ELSE jsonb_build_object('max_avatars', jsonb_build_object('value', avatars, 'limit', t.max_avatars)) END,
       o.user_id IS NOT NULL, 2, :'rates', now()
FROM month m
CROSS JOIN LATERAL (SELECT usage_month = date_trunc('month', date :'today') AS is_now) n
LEFT JOIN owned o ON o.user_id = m.user_id AND o.is_over AND is_now
JOIN subscription_tiers t ON t.name = 'free';
COMMIT;
