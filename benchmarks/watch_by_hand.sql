-- What somebody writes by hand who knows PostgreSQL and this data: no NULL where a column could be missing, no ghosts.
-- Each statement follows the command it answers. Its columns are some of the report's, by the same names; one that begins
-- with ~ is another, and not compared.

-- avatarlab api summary
SELECT * FROM (
    SELECT count(*) AS keys, count(*) FILTER (WHERE status = 'active') AS keys_active,
           count(*) FILTER (WHERE status = 'revoked') AS keys_revoked, count(DISTINCT user_id) AS key_owners,
           sum(request_count) AS counted_requests
    FROM platform_api_keys
) AS keys, (
    SELECT count(*) AS logged_requests, count(*) FILTER (WHERE created_at IS NULL) AS undated_requests,
           min(created_at) AS first_request, max(created_at) AS last_request
    FROM api_request_logs
) AS log, (
    SELECT count(*) AS requests_30d, count(DISTINCT api_key_id) AS keys_used_30d, count(DISTINCT user_id) AS users_30d,
           count(DISTINCT endpoint) AS endpoints_30d, avg(request_duration_ms) AS average_ms_30d
    FROM api_request_logs WHERE created_at >= '2026-06-01Z'
) AS recent;

-- avatarlab api keys --since 2025-07-01
SELECT u.email, coalesce(k.api_key_prefix, '(no key)') AS prefix, coalesce(l.requests, 0) AS requests,
       coalesce(l.endpoints, 0) AS endpoints, l.last_request
FROM platform_api_keys k
FULL JOIN (SELECT api_key_id, count(*) AS requests, count(DISTINCT endpoint) AS endpoints, max(created_at) AS last_request
           FROM api_request_logs WHERE created_at >= '2025-07-01Z' GROUP BY api_key_id) AS l ON l.api_key_id = k.id
LEFT JOIN auth.users u ON u.id = k.user_id
ORDER BY 3 DESC, 1;

-- avatarlab api endpoints --since 2025-07-01
SELECT endpoint, method, count(*) AS requests, count(DISTINCT user_id) AS users, count(DISTINCT api_key_id) AS keys,
       avg(request_duration_ms) AS average_ms, max(created_at) AS last_request
FROM api_request_logs WHERE created_at >= '2025-07-01Z'
GROUP BY endpoint, method ORDER BY requests DESC;

-- avatarlab api users --since 2025-07-01
SELECT coalesce(u.email, '(unattributed)') AS email, l.requests, l.keys, l.endpoints, l.last_request
FROM (SELECT coalesce(a.user_id, k.user_id) AS user_id, count(*) AS requests, count(DISTINCT a.api_key_id) AS keys,
             count(DISTINCT a.endpoint) AS endpoints, max(a.created_at) AS last_request
      FROM api_request_logs a LEFT JOIN platform_api_keys k ON k.id = a.api_key_id
      WHERE a.created_at >= '2025-07-01Z' GROUP BY 1) AS l
LEFT JOIN auth.users u ON u.id = l.user_id
ORDER BY requests DESC;

-- By median and median deviation alone, which finds a few others: only the times are compared.
-- avatarlab api unusual --day 2026-06-30
WITH days AS (
    SELECT api_key_id, (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS requests
    FROM api_request_logs WHERE created_at >= '2026-06-02Z' AND created_at < '2026-07-01Z' AND api_key_id IS NOT NULL
    GROUP BY 1, 2
), each_day AS (
    SELECT k.api_key_id, s.day::date AS day, coalesce(d.requests, 0) AS requests
    FROM (SELECT DISTINCT api_key_id FROM days) AS k
    CROSS JOIN generate_series(timestamp '2026-06-02', '2026-06-30', interval '1 day') AS s (day)
    LEFT JOIN days d ON d.api_key_id = k.api_key_id AND d.day = s.day::date
), middle AS (
    SELECT api_key_id, percentile_disc(0.5) WITHIN GROUP (ORDER BY requests) AS median
    FROM each_day WHERE day < '2026-06-30' GROUP BY api_key_id
), spread AS (
    SELECT api_key_id, percentile_disc(0.5) WITHIN GROUP (ORDER BY abs(requests - median)) AS deviation
    FROM each_day JOIN middle USING (api_key_id) WHERE day < '2026-06-30' GROUP BY api_key_id
)
SELECT u.email AS "~email", d.requests AS "~requests", m.median AS "~median"
FROM each_day d JOIN middle m USING (api_key_id) JOIN spread s USING (api_key_id)
JOIN platform_api_keys k ON k.id = d.api_key_id JOIN auth.users u ON u.id = k.user_id
WHERE d.day = '2026-06-30' AND abs(d.requests - m.median) > 5 * s.deviation AND greatest(d.requests, m.median) >= 20
ORDER BY 2 DESC;

-- avatarlab api gaps
SELECT u.email, coalesce(k.api_key_prefix, '(no key)') AS prefix, k.request_count AS counted, coalesce(l.logged, 0) AS logged,
       coalesce(l.no_user, 0) AS no_user, coalesce(l.no_time, 0) AS no_time
FROM platform_api_keys k
FULL JOIN (SELECT api_key_id, count(*) AS logged, count(*) FILTER (WHERE user_id IS NULL) AS no_user,
                  count(*) FILTER (WHERE created_at IS NULL) AS no_time
           FROM api_request_logs GROUP BY api_key_id) AS l ON l.api_key_id = k.id
LEFT JOIN auth.users u ON u.id = k.user_id
WHERE k.id IS NULL OR k.request_count <> coalesce(l.logged, 0) OR l.no_user > 0 OR l.no_time > 0
ORDER BY 1;

-- avatarlab conversation summary
SELECT *, round(good::numeric / nullif(good + bad, 0), 6) AS rate FROM (
    SELECT count(*) AS api_exchanges, count(*) FILTER (WHERE "timestamp" >= '2026-06-01Z') AS api_exchanges_30d,
           count(DISTINCT phone_number) AS customers,
           count(DISTINCT phone_number) FILTER (WHERE "timestamp" >= '2026-06-01Z') AS customers_30d,
           max("timestamp") AS last_api_exchange
    FROM conversations
) AS api, (
    SELECT count(*) FILTER (WHERE feedback = 'neutral') AS web_exchanges,
           count(*) FILTER (WHERE feedback = 'neutral' AND created_at >= '2026-06-01Z') AS web_exchanges_30d,
           count(DISTINCT user_id) FILTER (WHERE feedback = 'neutral' AND created_at >= '2026-06-01Z') AS web_users_30d,
           count(*) FILTER (WHERE feedback = 'good') AS good, count(*) FILTER (WHERE feedback = 'bad') AS bad,
           count(*) FILTER (WHERE feedback = 'good' AND created_at >= '2026-06-01Z') AS good_30d,
           count(*) FILTER (WHERE feedback = 'bad' AND created_at >= '2026-06-01Z') AS bad_30d
    FROM conversation_feedback
) AS web, (SELECT count(*) AS patterns FROM conversation_patterns) AS learned;

-- avatarlab conversation feedback --by avatar --since 2025-07-01
SELECT a.name AS avatar, f.*, round(f.good::numeric / nullif(f.good + f.bad, 0), 6) AS rate
FROM (SELECT avatar_id, count(*) FILTER (WHERE feedback = 'good') AS good, count(*) FILTER (WHERE feedback = 'bad') AS bad,
             count(*) FILTER (WHERE feedback = 'neutral') AS neutral
      FROM conversation_feedback WHERE created_at >= '2025-07-01Z' GROUP BY avatar_id) AS f
JOIN avatars a ON a.id = f.avatar_id
ORDER BY f.good + f.bad DESC;

-- avatarlab conversation feedback --by week --since 2025-09-01
SELECT date_trunc('week', created_at AT TIME ZONE 'UTC')::date AS week, count(*) FILTER (WHERE feedback = 'good') AS good,
       count(*) FILTER (WHERE feedback = 'bad') AS bad, count(*) FILTER (WHERE feedback = 'neutral') AS neutral
FROM conversation_feedback WHERE created_at >= '2025-09-01Z'
GROUP BY 1 ORDER BY 1;

-- avatarlab conversation volume --by day --since 2025-09-01
SELECT day, sum(api) AS api, sum(web) AS web, sum(api + web) AS exchanges, sum(customers) AS customers, sum(chatters) AS chatters
FROM (
    SELECT ("timestamp" AT TIME ZONE 'UTC')::date AS day, count(*) AS api, 0 AS web,
           count(DISTINCT phone_number) AS customers, 0 AS chatters
    FROM conversations WHERE "timestamp" >= '2025-09-01Z' GROUP BY 1
    UNION ALL
    SELECT (created_at AT TIME ZONE 'UTC')::date, 0, count(*), 0, count(DISTINCT user_id)
    FROM conversation_feedback WHERE created_at >= '2025-09-01Z' AND feedback = 'neutral' GROUP BY 1
) AS both_channels
GROUP BY day ORDER BY day;

-- avatarlab conversation quality --min-ratings 5 --since 2025-07-01
SELECT avatar, rated, good, round(((rate + 1.9207 / rated - 1.96 * sqrt((rate * (1 - rate) + 0.9604 / rated) / rated))
                                   / (1 + 3.8415 / rated))::numeric, 6) AS "~lower"
FROM (SELECT a.name AS avatar, f.good, f.rated, f.good::float8 / f.rated AS rate
      FROM (SELECT avatar_id, count(*) FILTER (WHERE feedback = 'good') AS good,
                   count(*) FILTER (WHERE feedback IN ('good', 'bad')) AS rated
            FROM conversation_feedback WHERE created_at >= '2025-07-01Z' GROUP BY avatar_id) AS f
      JOIN avatars a ON a.id = f.avatar_id WHERE f.rated >= 5) AS r
ORDER BY 4 DESC;

-- What every exchange over the API holds; phone numbers are hidden by the tool, and what was said is cut out there.
-- avatarlab conversation search said --since 2025-07-01
SELECT p.id AS exchange_id, p.at AS time, p.channel, a.name AS avatar, p.avatar_id, c.phone_number AS "~phone_number",
       substr(coalesce(c.text, f.user_message, f.avatar_response), 1, 600) AS "~passage", p.found AS "~found"
FROM (SELECT h.*, count(*) OVER () AS found
      FROM (SELECT id, "timestamp" AS at, 'api' AS channel, avatar_id FROM conversations
            WHERE "timestamp" >= '2025-07-01Z' AND strpos(lower(text), 'said') > 0
            UNION ALL
            SELECT id, created_at, 'web', avatar_id FROM conversation_feedback
            WHERE feedback = 'neutral' AND created_at >= '2025-07-01Z'
              AND (strpos(lower(user_message), 'said') > 0 OR strpos(lower(avatar_response), 'said') > 0)) AS h
      ORDER BY at DESC, id LIMIT 50) AS p
LEFT JOIN conversations c ON p.channel = 'api' AND c.id = p.id
LEFT JOIN conversation_feedback f ON p.channel = 'web' AND f.id = p.id
LEFT JOIN avatars a ON a.id = p.avatar_id
ORDER BY time DESC, exchange_id;

-- avatarlab rag summary
SELECT * FROM (
    SELECT count(*) AS searches, count(*) FILTER (WHERE created_at >= '2026-06-01Z') AS searches_30d,
           count(*) FILTER (WHERE created_at >= '2026-06-01Z' AND chunks_found = 0) AS without_result_30d,
           round(avg(chunks_found) FILTER (WHERE created_at >= '2026-06-01Z'), 3) AS average_results_30d,
           round(avg(top_similarity_score::numeric) FILTER (WHERE created_at >= '2026-06-01Z' AND top_similarity_score > 0), 3)
               AS average_similarity_30d,
           max(created_at) AS last_search
    FROM rag_search_logs
) AS searched, (
    SELECT count(*) AS files, count(*) FILTER (WHERE processing_status = 'processed') AS processed, sum(file_size) AS bytes
    FROM avatar_knowledge_files
) AS stored, (
    SELECT count(*) AS chunks, count(*) FILTER (WHERE embedding IS NULL) AS without_embedding FROM document_chunks
) AS cut;

-- avatarlab rag searches --by day --since 2025-09-01
SELECT (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS searches, sum(chunks_found) AS results,
       count(*) FILTER (WHERE chunks_found = 0) AS without_result, round(avg(chunks_found), 3) AS average_results,
       round(avg(top_similarity_score::numeric) FILTER (WHERE top_similarity_score > 0), 3) AS similarity
FROM rag_search_logs WHERE created_at >= '2025-09-01Z'
GROUP BY 1 ORDER BY 1;

-- avatarlab rag chunks
SELECT f.id AS file_id, f.original_name AS file, a.name AS avatar, f.avatar_id, u.email, f.processing_status AS status,
       coalesce(c.chunks, 0) AS chunks, c.smallest, c.median, c.largest, coalesce(c.empty, 0) AS empty,
       coalesce(c.duplicated, 0) AS duplicated, coalesce(c.without_embedding, 0) AS without_embedding,
       concat_ws(', ', CASE WHEN c.chunks IS NULL THEN 'no chunk' END, CASE WHEN c.empty > 0 THEN c.empty || ' empty' END,
                 CASE WHEN c.duplicated > 0 THEN c.duplicated || ' duplicated' END) AS "~problems"
FROM avatar_knowledge_files f
LEFT JOIN (SELECT knowledge_file_id, count(*) AS chunks, min(length(chunk_text)) AS smallest, max(length(chunk_text)) AS largest,
                  percentile_cont(0.5) WITHIN GROUP (ORDER BY length(chunk_text)) AS median,
                  count(*) FILTER (WHERE btrim(chunk_text) = '') AS empty,
                  count(*) - count(DISTINCT md5(chunk_text)) AS duplicated,
                  count(*) FILTER (WHERE embedding IS NULL) AS without_embedding
           FROM document_chunks GROUP BY knowledge_file_id) AS c ON c.knowledge_file_id = f.id
JOIN avatars a ON a.id = f.avatar_id JOIN auth.users u ON u.id = f.user_id
ORDER BY without_embedding DESC, duplicated DESC, empty DESC, chunks, file_id;

-- avatarlab training errors --since 2025-07-01
SELECT source, message, count(*) AS occurrences, count(DISTINCT user_id) AS users, min(at) AS first_seen, max(at) AS last_seen
FROM (SELECT source, regexp_replace(regexp_replace(regexp_replace(
                 left(split_part(btrim(text, E' \n\r\t'), E'\n', 1), 300),
                 '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '<id>', 'gi'),
                 '\m(ftjob|file|org|req|run)[-_](?=[a-z]*[0-9])[0-9a-z]{6,}', '<id>', 'gi'), '[0-9]+', '<n>', 'g') AS message,
             user_id, at
      FROM (SELECT 'log' AS source, coalesce(nullif(details ->> 'error', ''), message) AS text, user_id, created_at AS at
            FROM avatar_training_logs WHERE log_type = 'error'
            UNION ALL
            SELECT 'fine-tune', error_message, user_id, coalesce(finished_at, created_at)
            FROM avatar_fine_tune_jobs WHERE error_message <> ''
            UNION ALL
            SELECT 'session', fine_tune_error, user_id, coalesce(completed_at, created_at)
            FROM avatar_training_data WHERE fine_tune_error <> '') AS each
      WHERE at >= '2025-07-01Z') AS e
GROUP BY source, message ORDER BY occurrences DESC;

-- The run with the longest log.
-- avatarlab training logs 0589e703-8b0c-83e7-40b3-ca3b5a5d00e2
SELECT created_at, log_type AS type, message FROM avatar_training_logs
WHERE training_data_id = '0589e703-8b0c-83e7-40b3-ca3b5a5d00e2' ORDER BY created_at;

-- The rate of each day applies; there has been but one.
-- avatarlab voice tts --by user --since 2025-07-01
SELECT u.email, t.generations, t.characters, t.cost
FROM (SELECT user_id, sum(generations) AS generations, sum(characters) AS characters,
             sum(characters / 1000 * price) AS cost
      FROM (SELECT user_id, (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS generations,
                   sum(length(text))::numeric AS characters
            FROM tts_generations WHERE created_at >= '2025-07-01Z' GROUP BY 1, 2) AS d
      JOIN (VALUES (0.22, date '2024-01-01', date 'infinity')) AS r (price, first, last) ON day >= first AND day < last
      GROUP BY user_id) AS t
JOIN auth.users u ON u.id = t.user_id
ORDER BY characters DESC;

-- avatarlab voice tts --by day --since 2025-09-01
SELECT (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS generations, sum(length(text)) AS characters,
       sum(length(text)) * 0.22 / 1000 AS cost
FROM tts_generations WHERE created_at >= '2025-09-01Z'
GROUP BY 1 ORDER BY 1;

-- avatarlab image summary
SELECT * FROM (
    SELECT count(*) AS images, count(*) FILTER (WHERE created_at >= '2026-06-01Z') AS images_30d, count(DISTINCT user_id) AS users,
           count(DISTINCT user_id) FILTER (WHERE created_at >= '2026-06-01Z') AS users_30d,
           count(*) FILTER (WHERE image_url NOT LIKE 'data:%' AND image_url LIKE '%/storage/v1/object/%') AS in_bucket,
           count(*) FILTER (WHERE image_url LIKE 'data:%') AS inline,
           coalesce(sum(octet_length(image_url)) FILTER (WHERE image_url LIKE 'data:%'), 0) AS inline_bytes,
           count(*) FILTER (WHERE is_favorite) AS favorites, count(*) FILTER (WHERE is_flagged) AS flagged,
           count(*) FILTER (WHERE is_flagged OR moderation_status IN ('pending', 'flagged')) AS waiting
    FROM generated_images
) AS images, (SELECT count(*) AS collections FROM image_collections) AS galleries,
(SELECT count(DISTINCT image_id) AS collected FROM image_collection_items) AS collected, (
    SELECT count(*) AS videos, count(*) FILTER (WHERE created_at >= '2026-06-01Z') AS videos_30d,
           count(*) FILTER (WHERE status = 'completed') AS videos_completed, count(*) FILTER (WHERE status = 'failed') AS videos_failed,
           count(*) FILTER (WHERE status = 'processing') AS videos_processing,
           count(*) FILTER (WHERE status = 'processing' AND created_at < '2026-06-30Z') AS videos_stuck
    FROM generated_videos
) AS videos;

-- avatarlab image volume --by provider --since 2025-07-01
SELECT lower(provider) AS provider, count(*) AS images, count(DISTINCT user_id) AS users, count(*) FILTER (WHERE is_favorite) AS favorites,
       count(*) FILTER (WHERE is_flagged) AS flagged, max(created_at) AS last_image
FROM generated_images WHERE created_at >= '2025-07-01Z'
GROUP BY 1 ORDER BY images DESC;

-- avatarlab image volume --by user --since 2025-07-01
SELECT u.email, i.*
FROM (SELECT user_id, count(*) AS images, count(*) FILTER (WHERE is_favorite) AS favorites, count(*) FILTER (WHERE is_flagged) AS flagged,
             max(created_at) AS last_image
      FROM generated_images WHERE created_at >= '2025-07-01Z' GROUP BY user_id) AS i
JOIN auth.users u ON u.id = i.user_id
ORDER BY images DESC, u.email;

-- avatarlab image videos --by day --since 2025-07-01
SELECT (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS videos, count(*) FILTER (WHERE status = 'completed') AS completed,
       count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE status = 'processing') AS processing,
       round(avg(extract(epoch FROM completed_at - created_at)) FILTER (WHERE status = 'completed'), 3) AS average_seconds
FROM generated_videos WHERE created_at >= '2025-07-01Z'
GROUP BY 1 ORDER BY 1;

-- avatarlab image stuck
SELECT v.id, u.email, v.provider, v.created_at AS began_at, v.task_id
FROM generated_videos v JOIN auth.users u ON u.id = v.user_id
WHERE v.status = 'processing' AND v.created_at < '2026-06-30Z'
ORDER BY v.created_at, v.id;

-- avatarlab image list
SELECT i.id, u.email, i.provider, i.model, i.generation_type AS type,
       CASE WHEN i.image_url LIKE 'data:%' THEN 'inline' WHEN i.image_url LIKE '%/storage/v1/object/%' THEN 'bucket' ELSE 'elsewhere' END AS place,
       i.moderation_status AS moderation, i.created_at, i.is_flagged AS "~is_flagged", i.flagged_reason, i.is_favorite AS "~is_favorite",
       i.width, i.height, octet_length(i.image_url) AS url_bytes, left(i.prompt, 200) AS prompt, i.user_id
FROM generated_images i JOIN auth.users u ON u.id = i.user_id
ORDER BY i.created_at DESC, i.id;

-- avatarlab image list --limit 50
SELECT i.id, u.email, i.provider, i.model, i.created_at, left(i.prompt, 200) AS prompt, i.user_id
FROM generated_images i JOIN auth.users u ON u.id = i.user_id
ORDER BY i.created_at DESC, i.id LIMIT 50;

-- avatarlab image queue
SELECT i.id, u.email, i.moderation_status AS moderation, i.flagged_reason AS reason, i.created_at, i.is_flagged AS "~is_flagged",
       CASE WHEN i.image_url LIKE 'data:%' THEN 'inline' WHEN i.image_url LIKE '%/storage/v1/object/%' THEN 'bucket' ELSE 'elsewhere' END AS place,
       left(i.prompt, 200) AS prompt, i.user_id
FROM generated_images i JOIN auth.users u ON u.id = i.user_id
WHERE i.is_flagged OR i.moderation_status IN ('pending', 'flagged')
ORDER BY i.created_at, i.id;

-- avatarlab avatar summary
SELECT count(*) AS avatars, count(*) FILTER (WHERE status = 'active') AS active, count(*) FILTER (WHERE status = 'deleted') AS deleted,
       count(*) FILTER (WHERE status = 'deleted' AND scheduled_hard_delete_at < '2026-07-01Z') AS overdue,
       count(*) FILTER (WHERE created_at >= '2026-06-01Z') AS created_30d, count(DISTINCT user_id) AS owners,
       count(*) FILTER (WHERE is_public) AS public, count(*) FILTER (WHERE is_marketplace_item) AS marketplace_items,
       count(*) FILTER (WHERE use_fine_tuned_model) AS fine_tuned, count(*) FILTER (WHERE is_flagged) AS flagged,
       count(*) FILTER (WHERE is_flagged OR moderation_status IN ('pending', 'flagged')) AS waiting
FROM avatars;

-- avatarlab avatar list
SELECT a.id, a.name, u.email, a.status, a.moderation_status AS moderation, a.created_at, a.is_flagged AS "~is_flagged",
       a.is_public AS "~is_public", a.is_marketplace_item AS "~is_marketplace_item", a.base_model, a.deleted_at, a.user_id
FROM avatars a JOIN auth.users u ON u.id = a.user_id
ORDER BY a.created_at DESC, a.id;

-- avatarlab avatar list --limit 50
SELECT a.id, a.name, u.email, a.status, a.created_at
FROM avatars a JOIN auth.users u ON u.id = a.user_id
ORDER BY a.created_at DESC, a.id LIMIT 50;

-- avatarlab avatar due
SELECT a.id, a.name, u.email, a.scheduled_hard_delete_at AS due_at, coalesce(p.purchases, 0) AS purchases, a.deleted_at, a.user_id
FROM avatars a JOIN auth.users u ON u.id = a.user_id
LEFT JOIN (SELECT avatar_id, count(*) AS purchases FROM purchases GROUP BY avatar_id) AS p ON p.avatar_id = a.id
WHERE a.status = 'deleted' AND a.scheduled_hard_delete_at < '2026-07-31Z'
ORDER BY due_at, a.id;

-- avatarlab avatar queue
SELECT a.id, a.name, u.email, a.moderation_status AS moderation, a.flagged_reason AS reason, coalesce(a.flagged_at, a.created_at) AS waiting_since,
       a.status, a.user_id
FROM avatars a JOIN auth.users u ON u.id = a.user_id
WHERE a.is_flagged OR a.moderation_status IN ('pending', 'flagged')
ORDER BY waiting_since, a.id;

-- avatarlab memory summary
SELECT * FROM (
    SELECT count(*) AS memories, count(*) FILTER (WHERE m.created_at >= '2026-06-01Z') AS memories_30d, count(DISTINCT m.user_id) AS users,
           count(DISTINCT m.avatar_id) AS avatars, count(*) FILTER (WHERE m.is_private) AS private,
           count(*) FILTER (WHERE m.is_favorite) AS favorites, count(*) FILTER (WHERE u.id IS NULL) AS user_gone,
           count(*) FILTER (WHERE i.images IS NULL) AS without_image,
           count(*) FILTER (WHERE i.primaries = 0) AS without_primary, count(*) FILTER (WHERE i.primaries > 1) AS several_primary
    FROM avatar_memories m
    LEFT JOIN (SELECT memory_id, count(*) AS images, count(*) FILTER (WHERE is_primary) AS primaries
               FROM memory_images GROUP BY memory_id) AS i ON i.memory_id = m.id
    LEFT JOIN auth.users u ON u.id = m.user_id
) AS remembered, (SELECT count(*) AS images, count(*) FILTER (WHERE caption <> '') AS captioned FROM memory_images) AS photographed;

-- avatarlab memory list
SELECT m.id, a.name AS avatar, u.email, m.memory_date, coalesce(i.images, 0) AS images,
       CASE WHEN i.images IS NULL THEN 'no image' WHEN i.primaries = 0 THEN 'no primary image'
            WHEN i.primaries > 1 THEN 'several primary images' END AS problem,
       m.is_private AS "~is_private", m.created_at, m.is_favorite AS "~is_favorite", CASE WHEN NOT m.is_private THEN left(m.title, 80) END AS title,
       m.avatar_id, m.user_id
FROM avatar_memories m
LEFT JOIN (SELECT memory_id, count(*) AS images, count(*) FILTER (WHERE is_primary) AS primaries
           FROM memory_images GROUP BY memory_id) AS i ON i.memory_id = m.id
JOIN avatars a ON a.id = m.avatar_id JOIN auth.users u ON u.id = m.user_id
ORDER BY m.created_at DESC, m.id;

-- avatarlab memory list --limit 50
SELECT m.id, a.name AS avatar, u.email, m.memory_date, i.images, m.created_at
FROM (SELECT * FROM avatar_memories ORDER BY created_at DESC, id LIMIT 50) AS m
JOIN avatars a ON a.id = m.avatar_id JOIN auth.users u ON u.id = m.user_id
CROSS JOIN LATERAL (SELECT count(*) AS images FROM memory_images WHERE memory_id = m.id) AS i
ORDER BY m.created_at DESC, m.id;

-- avatarlab marketplace summary
SELECT * FROM (
    SELECT count(*) AS items, count(*) FILTER (WHERE status = 'active') AS items_active, sum(total_sales) AS total_sales
    FROM avatars WHERE (is_marketplace_item OR is_public) AND status <> 'deleted'
) AS offered, (
    SELECT count(*) AS purchases, count(*) FILTER (WHERE status = 'completed') AS completed,
           count(*) FILTER (WHERE status = 'pending') AS pending, count(*) FILTER (WHERE status = 'refunded') AS refunded,
           count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE status IS NULL) AS without_status,
           sum(price_paid) FILTER (WHERE status = 'completed' AND currency = 'USD') AS revenue,
           sum(price_paid) FILTER (WHERE status = 'refunded' AND currency = 'USD') AS refunded_usd,
           count(DISTINCT user_id) AS buyers, count(*) FILTER (WHERE purchased_at >= '2026-06-01Z') AS purchases_30d,
           sum(price_paid) FILTER (WHERE status = 'completed' AND currency = 'USD' AND purchased_at >= '2026-06-01Z') AS revenue_30d
    FROM purchases
) AS bought, (
    SELECT coalesce(jsonb_object_agg(told, amount), '{}') AS "~other_currencies"
    FROM (SELECT CASE WHEN status = 'refunded' THEN 'refunded ' ELSE '' END || currency AS told, sum(price_paid) AS amount
          FROM purchases WHERE currency <> 'USD' AND status IN ('completed', 'refunded') GROUP BY 1) AS f
) AS foreign_money;

-- avatarlab marketplace list
SELECT a.id, a.name, u.email, a.status, a.price, a.rating, a.total_sales, coalesce(p.purchases, 0) AS purchases,
       coalesce(p.completed, 0) AS completed, a.is_marketplace_item AS "~is_marketplace_item", a.is_public AS "~is_public",
       a.creator_studio AS studio, a.category, a.created_at, a.user_id
FROM avatars a JOIN auth.users u ON u.id = a.user_id
LEFT JOIN (SELECT avatar_id, count(*) AS purchases, count(*) FILTER (WHERE status = 'completed') AS completed
           FROM purchases GROUP BY avatar_id) AS p ON p.avatar_id = a.id
WHERE (a.is_marketplace_item OR a.is_public) AND a.status <> 'deleted'
ORDER BY completed DESC, a.name, a.id;

-- avatarlab marketplace purchases --by day --since 2025-07-01
SELECT p.*, coalesce(o.other_currencies, '{}') AS "~other_currencies"
FROM (SELECT (purchased_at AT TIME ZONE 'UTC')::date AS day, count(*) AS purchases, count(*) FILTER (WHERE status = 'completed') AS completed,
             count(*) FILTER (WHERE status = 'pending') AS pending, count(*) FILTER (WHERE status = 'refunded') AS refunded,
             count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE status IS NULL) AS without_status,
             coalesce(sum(price_paid) FILTER (WHERE status = 'completed' AND currency = 'USD'), 0) AS revenue,
             coalesce(sum(price_paid) FILTER (WHERE status = 'refunded' AND currency = 'USD'), 0) AS refunded_usd
      FROM purchases WHERE purchased_at >= '2025-07-01Z' GROUP BY 1) AS p
LEFT JOIN (SELECT day, jsonb_object_agg(told, amount) AS other_currencies
           FROM (SELECT (purchased_at AT TIME ZONE 'UTC')::date AS day, CASE WHEN status = 'refunded' THEN 'refunded ' ELSE '' END || currency AS told, sum(price_paid) AS amount
                 FROM purchases WHERE purchased_at >= '2025-07-01Z' AND currency <> 'USD' AND status IN ('completed', 'refunded') GROUP BY 1, 2) AS f
           GROUP BY day) AS o ON o.day = p.day
ORDER BY p.day;

-- avatarlab marketplace purchases --by avatar --since 2025-07-01
SELECT p.avatar_id, a.name AS avatar, p.purchases, p.completed, p.pending, p.refunded, p.failed, p.without_status, p.revenue,
       p.refunded_usd, coalesce(o.other_currencies, '{}') AS "~other_currencies"
FROM (SELECT avatar_id, count(*) AS purchases, count(*) FILTER (WHERE status = 'completed') AS completed,
             count(*) FILTER (WHERE status = 'pending') AS pending, count(*) FILTER (WHERE status = 'refunded') AS refunded,
             count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE status IS NULL) AS without_status,
             coalesce(sum(price_paid) FILTER (WHERE status = 'completed' AND currency = 'USD'), 0) AS revenue,
             coalesce(sum(price_paid) FILTER (WHERE status = 'refunded' AND currency = 'USD'), 0) AS refunded_usd
      FROM purchases WHERE purchased_at >= '2025-07-01Z' GROUP BY avatar_id) AS p
LEFT JOIN (SELECT avatar_id, jsonb_object_agg(told, amount) AS other_currencies
           FROM (SELECT avatar_id, CASE WHEN status = 'refunded' THEN 'refunded ' ELSE '' END || currency AS told, sum(price_paid) AS amount
                 FROM purchases WHERE purchased_at >= '2025-07-01Z' AND currency <> 'USD' AND status IN ('completed', 'refunded') GROUP BY 1, 2) AS f
           GROUP BY avatar_id) AS o ON o.avatar_id = p.avatar_id
JOIN avatars a ON a.id = p.avatar_id
ORDER BY p.revenue DESC, p.purchases DESC, p.avatar_id;

-- avatarlab training summary
SELECT * FROM (
    SELECT count(*) AS sessions, count(*) FILTER (WHERE created_at >= '2026-06-01Z') AS sessions_30d,
           count(*) FILTER (WHERE created_at >= '2026-06-01Z' AND status = 'completed') AS sessions_succeeded_30d,
           count(*) FILTER (WHERE created_at >= '2026-06-01Z' AND status = 'failed') AS sessions_failed_30d
    FROM avatar_training_data
) AS sessions, (
    SELECT count(*) AS fine_tunes, count(*) FILTER (WHERE created_at >= '2026-06-01Z') AS fine_tunes_30d,
           count(*) FILTER (WHERE created_at >= '2026-06-01Z' AND status = 'succeeded') AS fine_tunes_succeeded_30d,
           sum(trained_tokens) FILTER (WHERE finished_at >= '2026-06-01Z' AND finished_at < '2026-07-01Z') AS trained_tokens_30d,
           sum(trained_tokens) FILTER (WHERE finished_at >= '2026-06-01Z' AND finished_at < '2026-07-01Z') * 3.0 / 1000000 AS fine_tuning_cost_30d
    FROM avatar_fine_tune_jobs
) AS jobs, (
    SELECT sum(input_tokens) AS input_tokens_30d, sum(output_tokens) AS output_tokens_30d,
           (sum(input_tokens) * 0.30 + sum(output_tokens) * 1.20) / 1000000 AS inference_cost_30d
    FROM avatar_fine_tune_usage WHERE usage_date >= '2026-06-01'
) AS answered, (
    SELECT count(*) AS errors_30d FROM avatar_training_logs WHERE log_type = 'error' AND created_at >= '2026-06-01Z'
) AS errors, (
    SELECT sum(files) AS files, sum(size) AS file_bytes, sum(failed) AS files_failed
    FROM (SELECT count(*) AS files, (array_agg(file_size ORDER BY uploaded_at, id))[1] AS size,
                 count(*) FILTER (WHERE processing_status = 'failed') AS failed
          FROM avatar_training_files GROUP BY file_path) AS each_file
) AS files, (
    SELECT count(*) AS examples, count(*) FILTER (WHERE used_in_training) AS examples_used, round(avg(quality_score), 3) AS average_quality
    FROM avatar_training_examples
) AS examples, (SELECT count(*) AS prompt_versions FROM avatar_prompt_versions) AS prompts, (
    SELECT (SELECT count(*) FROM avatar_training_data WHERE status IN ('pending', 'processing') AND created_at < '2026-06-30Z')
           + (SELECT count(*) FROM avatar_fine_tune_jobs WHERE status IN ('validating_files', 'queued', 'running') AND started_at < '2026-06-30Z')
           + (SELECT count(*) FROM avatar_training_files WHERE processing_status IN ('pending', 'processing') AND uploaded_at < '2026-06-30Z') AS stale
) AS stale;

-- avatarlab training jobs --since 2025-07-01
SELECT t.id, t.kind, t.avatar_id, a.name AS avatar, t.user_id, u.email, t.status, t.model, t.seconds AS duration_seconds, t.tokens, t.cost, t.created_at
FROM (
    SELECT id, 'session' AS kind, avatar_id, user_id, status, NULL AS model, extract(epoch FROM completed_at - created_at) AS seconds,
           NULL::bigint AS tokens, NULL::numeric AS cost, created_at
    FROM avatar_training_data WHERE created_at >= '2025-07-01Z'
    UNION ALL
    SELECT id, 'fine-tune', avatar_id, user_id, status, base_model, extract(epoch FROM finished_at - started_at), trained_tokens,
           CASE WHEN finished_at IS NOT NULL THEN trained_tokens * 3.0 / 1000000 END, created_at
    FROM avatar_fine_tune_jobs WHERE created_at >= '2025-07-01Z'
) AS t
JOIN avatars a ON a.id = t.avatar_id JOIN auth.users u ON u.id = t.user_id
ORDER BY t.created_at DESC, t.id;

-- The rate that applies is that of the job's model, on the day it ended.
-- avatarlab training jobs --by user --since 2025-07-01
SELECT t.kind, t.user_id, u.email, t.jobs, t.succeeded, t.failed, round(t.succeeded::numeric / nullif(t.succeeded + t.failed, 0), 6) AS success_rate,
       t.average_seconds, t.tokens, t.cost, t.unpriced
FROM (
    SELECT 'session' AS kind, user_id, count(*) AS jobs, count(*) FILTER (WHERE status = 'completed') AS succeeded,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           round(avg(extract(epoch FROM completed_at - created_at)), 3) AS average_seconds, NULL::bigint AS tokens, NULL::numeric AS cost,
           NULL::bigint AS unpriced
    FROM avatar_training_data WHERE created_at >= '2025-07-01Z' GROUP BY user_id
    UNION ALL
    SELECT 'fine-tune', user_id, count(*), count(*) FILTER (WHERE status = 'succeeded'), count(*) FILTER (WHERE status = 'failed'),
           round(avg(extract(epoch FROM finished_at - started_at)), 3), sum(trained_tokens), sum(trained_tokens * r.price) / 1000000,
           sum(CASE WHEN finished_at IS NOT NULL AND r.price IS NULL THEN trained_tokens ELSE 0 END) FILTER (WHERE trained_tokens IS NOT NULL)
    FROM avatar_fine_tune_jobs j
    LEFT JOIN (VALUES ('gpt-4o-mini-2024-07-18', 3.0, date '2024-01-01', date 'infinity')) AS r (model, price, first, last)
        ON r.model = j.base_model AND (finished_at AT TIME ZONE 'UTC')::date >= first AND (finished_at AT TIME ZONE 'UTC')::date < last
    WHERE created_at >= '2025-07-01Z' GROUP BY user_id
) AS t
JOIN auth.users u ON u.id = t.user_id
ORDER BY t.kind, t.jobs DESC, t.user_id;

-- avatarlab training examples
SELECT source_type AS source, count(*) AS examples, count(DISTINCT avatar_id) AS avatars, count(*) FILTER (WHERE used_in_training) AS used,
       round(avg(quality_score), 3) AS average_quality, min(quality_score) AS lowest_quality,
       count(*) FILTER (WHERE quality_score < 0.7) AS below, count(*) FILTER (WHERE quality_score IS NULL) AS unscored, max(created_at) AS newest
FROM avatar_training_examples
GROUP BY 1 ORDER BY examples DESC;

-- avatarlab training examples --by avatar
SELECT a.name AS avatar, e.*
FROM (SELECT avatar_id, count(*) AS examples, count(*) FILTER (WHERE used_in_training) AS used, round(avg(quality_score), 3) AS average_quality,
             min(quality_score) AS lowest_quality, count(*) FILTER (WHERE quality_score < 0.7) AS below,
             count(*) FILTER (WHERE quality_score IS NULL) AS unscored, max(created_at) AS newest
      FROM avatar_training_examples GROUP BY avatar_id) AS e
JOIN avatars a ON a.id = e.avatar_id
ORDER BY e.examples DESC, e.avatar_id;

-- The first row that names a file has its size.
-- avatarlab training files
SELECT processing_status AS status, count(*) AS uploads, count(DISTINCT user_id) AS users, sum(size) AS bytes,
       round(avg(extract(epoch FROM processed_at - uploaded_at)), 3) AS average_seconds
FROM (SELECT processing_status, user_id, processed_at, uploaded_at,
             CASE WHEN row_number() OVER (PARTITION BY file_path ORDER BY uploaded_at, id) = 1 THEN file_size END AS size
      FROM avatar_training_files) AS f
GROUP BY 1 ORDER BY uploads DESC;

-- avatarlab training files --by user
SELECT u.email, f.*
FROM (SELECT user_id, count(*) AS uploads, coalesce(sum(size), 0) AS bytes, count(*) FILTER (WHERE processing_status = 'completed') AS processed,
             count(*) FILTER (WHERE processing_status = 'failed') AS failed,
             round(avg(extract(epoch FROM processed_at - uploaded_at)), 3) AS average_seconds
      FROM (SELECT processing_status, user_id, processed_at, uploaded_at,
                   CASE WHEN row_number() OVER (PARTITION BY file_path ORDER BY uploaded_at, id) = 1 THEN file_size END AS size
            FROM avatar_training_files) AS each_file
      GROUP BY user_id) AS f
JOIN auth.users u ON u.id = f.user_id
ORDER BY f.uploads DESC, f.user_id;

-- avatarlab training files --list
SELECT f.id, f.original_name AS name, u.email, f.training_data_id AS run, f.processing_status AS status, f.file_size AS bytes,
       extract(epoch FROM f.processed_at - f.uploaded_at) AS seconds, f.uploaded_at
FROM avatar_training_files f JOIN auth.users u ON u.id = f.user_id
ORDER BY f.uploaded_at DESC, f.id;

-- avatarlab training stale
SELECT s.kind, s.id, u.email, a.name AS avatar, s.status, s.since
FROM (
    SELECT 'session' AS kind, id, user_id, avatar_id, status, created_at AS since
    FROM avatar_training_data WHERE status IN ('pending', 'processing') AND created_at < '2026-06-30Z'
    UNION ALL
    SELECT 'fine-tune', id, user_id, avatar_id, status, started_at
    FROM avatar_fine_tune_jobs WHERE status IN ('validating_files', 'queued', 'running') AND started_at < '2026-06-30Z'
    UNION ALL
    SELECT 'file', f.id, f.user_id, d.avatar_id, f.processing_status, f.uploaded_at
    FROM avatar_training_files f JOIN avatar_training_data d ON d.id = f.training_data_id
    WHERE f.processing_status IN ('pending', 'processing') AND f.uploaded_at < '2026-06-30Z'
) AS s
JOIN auth.users u ON u.id = s.user_id JOIN avatars a ON a.id = s.avatar_id
ORDER BY s.since, s.kind, s.id;

-- The avatar with the most versions.
-- A note tells how many versions are active.
-- avatarlab training prompts 7d2ca05e-3c27-70f4-ce2a-8456d2ee639c
SELECT v.id, v.version_number AS version, v.is_active AS "~is_active", length(v.system_prompt) AS characters, p.version_number AS parent, v.created_at,
       v.version_name AS "~name", v.is_published AS "~is_published", cardinality(v.behavior_rules) AS "~rules", v.training_data_id AS "~run",
       v.activated_at AS "~activated_at", count(*) FILTER (WHERE v.is_active) OVER () AS "~active"
FROM avatar_prompt_versions v LEFT JOIN avatar_prompt_versions p ON p.id = v.parent_version_id
WHERE v.avatar_id = '7d2ca05e-3c27-70f4-ce2a-8456d2ee639c'
ORDER BY v.created_at, version;

-- avatarlab rag files
SELECT u.email, f.*
FROM (SELECT user_id, count(*) AS files, count(*) FILTER (WHERE processing_status = 'pending') AS pending,
             count(*) FILTER (WHERE processing_status = 'pending' AND uploaded_at < '2026-06-30Z') AS stuck,
             count(*) FILTER (WHERE processing_status = 'error') AS errors, sum(file_size) AS bytes,
             min(uploaded_at) FILTER (WHERE processing_status = 'pending') AS oldest_pending
      FROM avatar_knowledge_files GROUP BY user_id) AS f
JOIN auth.users u ON u.id = f.user_id
ORDER BY f.stuck DESC, f.errors DESC, f.files DESC, f.user_id;

-- avatarlab rag files --by status
SELECT processing_status AS status, count(*) AS files, count(*) FILTER (WHERE processing_status = 'pending') AS pending,
       count(*) FILTER (WHERE processing_status = 'pending' AND uploaded_at < '2026-06-30Z') AS stuck,
       count(*) FILTER (WHERE processing_status = 'error') AS errors, count(processing_error) AS with_message, sum(file_size) AS bytes,
       min(uploaded_at) FILTER (WHERE processing_status = 'pending') AS oldest_pending
FROM avatar_knowledge_files
GROUP BY 1 ORDER BY files DESC;

-- avatarlab rag slow --since 2025-07-01
SELECT endpoint, method, count(*) AS requests, count(request_duration_ms) AS timed,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY request_duration_ms) AS median_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY request_duration_ms) AS p95_ms, max(request_duration_ms) AS longest_ms
FROM api_request_logs WHERE created_at >= '2025-07-01Z'
GROUP BY 1, 2 ORDER BY p95_ms DESC;

-- avatarlab conversation patterns
SELECT p.id AS pattern_id, array_to_string(p.trigger_words, ', ') AS triggers, p.pattern_type AS type, a.name AS avatar, p.avatar_id, u.email,
       p.usage_count AS uses, p.success_rate, p.created_at, p.updated_at AS last_used
FROM conversation_patterns p JOIN avatars a ON a.id = p.avatar_id JOIN auth.users u ON u.id = p.user_id
ORDER BY uses DESC, p.id;

-- avatarlab conversation patterns --limit 50
SELECT p.id AS pattern_id, array_to_string(p.trigger_words, ', ') AS triggers, a.name AS avatar, u.email, p.usage_count AS uses
FROM (SELECT * FROM conversation_patterns ORDER BY usage_count DESC, id LIMIT 50) AS p
JOIN avatars a ON a.id = p.avatar_id JOIN auth.users u ON u.id = p.user_id
ORDER BY uses DESC, p.id;

-- avatarlab conversation patterns --by avatar
SELECT p.avatar_id, a.name AS avatar, p.patterns, p.uses, p.new, p.used, p.average_success, p.last_used
FROM (SELECT avatar_id, count(*) AS patterns, sum(usage_count) AS uses, count(*) FILTER (WHERE created_at >= '2026-06-01Z') AS new,
             count(*) FILTER (WHERE updated_at >= '2026-06-01Z' AND updated_at < '2026-07-01Z') AS used,
             round(avg(success_rate), 6) AS average_success, max(updated_at) AS last_used
      FROM conversation_patterns GROUP BY avatar_id) AS p
JOIN avatars a ON a.id = p.avatar_id
ORDER BY p.uses DESC, p.avatar_id;

-- avatarlab voice summary
SELECT * FROM (
    SELECT count(*) AS clones, count(*) FILTER (WHERE c.status = 'active') AS active_clones,
           count(*) FILTER (WHERE c.status = 'training' AND c.created_at < '2026-06-30Z') AS clones_stuck,
           count(*) FILTER (WHERE s.voice_clone_id IS NULL) AS clones_without_samples,
           count(*) FILTER (WHERE c.created_at >= '2026-06-01Z') AS clones_30d
    FROM voice_clones c LEFT JOIN (SELECT DISTINCT voice_clone_id FROM voice_samples) AS s ON s.voice_clone_id = c.id
) AS clones, (
    SELECT count(*) AS samples, sum(bytes) AS sample_bytes, count(*) FILTER (WHERE NOT is_used) AS samples_without_clone,
           count(*) FILTER (WHERE at >= '2026-06-01Z') AS samples_30d
    FROM (SELECT max(file_size_bytes) AS bytes, bool_or(voice_clone_id IS NOT NULL) AS is_used, min(created_at) AS at
          FROM voice_samples GROUP BY file_url) AS f
) AS samples, (
    SELECT count(*) AS generations, sum(length(text)) AS characters, count(*) FILTER (WHERE created_at >= '2026-06-01Z') AS generations_30d,
           sum(length(text)) FILTER (WHERE created_at >= '2026-06-01Z') AS characters_30d,
           sum(length(text)) FILTER (WHERE created_at >= '2026-06-01Z') * 0.22 / 1000 AS cost_30d
    FROM tts_generations
) AS speech;

-- avatarlab voice clones
SELECT c.status, count(*) AS clones, count(DISTINCT c.user_id) AS users,
       count(*) FILTER (WHERE c.status = 'training' AND c.created_at < '2026-06-30Z') AS stuck,
       coalesce(sum(s.samples), 0) AS samples, count(*) FILTER (WHERE s.samples IS NULL) AS without_samples,
       min(c.created_at) AS oldest, max(c.created_at) AS newest
FROM voice_clones c
LEFT JOIN (SELECT voice_clone_id, count(DISTINCT file_url) AS samples FROM voice_samples WHERE voice_clone_id IS NOT NULL
           GROUP BY voice_clone_id) AS s ON s.voice_clone_id = c.id
GROUP BY c.status
UNION ALL
SELECT '(no clone)', 0, count(DISTINCT owner), 0, count(*), 0, min(at), max(at)
FROM (SELECT min(user_id::text) AS owner, min(created_at) AS at FROM voice_samples
      GROUP BY file_url HAVING count(voice_clone_id) = 0) AS f;

-- avatarlab voice clones --list
SELECT c.id, c.name, u.email, c.status, coalesce(s.samples, 0) AS samples, s.bytes, s.seconds AS audio_seconds, c.created_at
FROM voice_clones c JOIN auth.users u ON u.id = c.user_id
LEFT JOIN (SELECT voice_clone_id, count(*) AS samples, sum(bytes) AS bytes, sum(seconds) AS seconds
           FROM (SELECT voice_clone_id, max(file_size_bytes) AS bytes, max(duration_seconds) AS seconds
                 FROM voice_samples WHERE voice_clone_id IS NOT NULL GROUP BY voice_clone_id, file_url) AS f
           GROUP BY voice_clone_id) AS s ON s.voice_clone_id = c.id
ORDER BY c.created_at DESC, c.id;

-- avatarlab voice samples
SELECT CASE WHEN is_used THEN 'in a clone' ELSE 'without clone' END AS use, count(*) AS files, sum(rows) AS rows, sum(bytes) AS bytes,
       count(*) - count(bytes) AS unsized_files, sum(seconds) AS audio_seconds, min(at) AS oldest, max(at) AS newest
FROM (SELECT count(*) AS rows, max(file_size_bytes) AS bytes, max(duration_seconds) AS seconds, bool_or(voice_clone_id IS NOT NULL) AS is_used,
             min(created_at) AS at
      FROM voice_samples GROUP BY file_url) AS f
GROUP BY 1 ORDER BY files DESC;

-- avatarlab voice samples --list
SELECT f.id, f.filename, u.email, f.bytes, f.seconds AS audio_seconds, f.rows, f.at AS uploaded_at
FROM (SELECT (array_agg(id ORDER BY created_at, id))[1] AS id, (array_agg(user_id ORDER BY created_at, id))[1] AS user_id,
             (array_agg(filename ORDER BY created_at, id))[1] AS filename, count(*) AS rows, max(file_size_bytes) AS bytes,
             max(duration_seconds) AS seconds, min(created_at) AS at
      FROM voice_samples GROUP BY file_url) AS f
JOIN auth.users u ON u.id = f.user_id
ORDER BY f.at DESC, f.id;

-- avatarlab voice storage
WITH stored AS (
    SELECT name, (metadata ->> 'size')::bigint AS size FROM storage.objects WHERE bucket_id = 'voice-samples'
), recorded AS (
    SELECT split_part(split_part(file_url, '/voice-samples/', 2), '?', 1) AS name, max(file_size_bytes) AS size FROM voice_samples GROUP BY file_url
), spoken AS (
    SELECT DISTINCT split_part(split_part(audio_url, '/voice-samples/', 2), '?', 1) AS name FROM tts_generations WHERE audio_url IS NOT NULL
), divided AS (
    SELECT CASE WHEN r.name IS NOT NULL THEN 'samples' WHEN t.name IS NOT NULL THEN 'speech' ELSE 'other' END AS use,
           count(*) AS objects, sum(s.size) AS bytes
    FROM stored s LEFT JOIN recorded r ON r.name = s.name LEFT JOIN spoken t ON t.name = s.name
    GROUP BY 1
)
SELECT use, coalesce(objects, 0) AS objects, coalesce(bytes, 0) AS bytes, files, table_bytes
FROM (VALUES ('samples', (SELECT count(*) FROM recorded), (SELECT sum(size) FROM recorded)),
             ('speech', (SELECT count(*) FROM spoken), NULL), ('other', NULL, NULL)) AS told (use, files, table_bytes)
LEFT JOIN divided USING (use)
ORDER BY use DESC;

-- avatarlab system logs --since 2025-07-01
SELECT l.id, l.created_at, l.level, l.category, u.email, l.message, l.user_id
FROM system_logs l LEFT JOIN auth.users u ON u.id = l.user_id
WHERE l.created_at >= '2025-07-01Z'
ORDER BY l.created_at DESC, l.id;

-- avatarlab system logs --limit 50
SELECT l.id, l.created_at, l.level, l.category, u.email, l.message, l.user_id
FROM (SELECT * FROM system_logs WHERE created_at >= '2026-06-01Z' ORDER BY created_at DESC, id LIMIT 50) AS l
LEFT JOIN auth.users u ON u.id = l.user_id
ORDER BY l.created_at DESC, l.id;

-- Sizes and dead rows as the catalogue has them, and nothing of the jobs: only the times are compared.
-- avatarlab system health
SELECT c.oid::regclass AS "~table", pg_total_relation_size(c.oid) AS "~bytes", s.n_dead_tup AS "~dead"
FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid
ORDER BY 2 DESC;

-- What is stored of yesterday is a handful of rows. Only the times are compared, as those of `api unusual`.
-- avatarlab overview
SELECT count(*) AS "~stale", 'trainings' AS "~what" FROM avatar_training_data
WHERE created_at < '2026-06-29Z' AND (status IN ('pending', 'processing') OR fine_tune_status IN ('preparing', 'queued', 'running'))
UNION ALL SELECT count(*), 'jobs' FROM avatar_fine_tune_jobs WHERE status IN ('validating_files', 'queued', 'running') AND started_at < '2026-06-30Z'
UNION ALL SELECT count(*), 'files' FROM avatar_training_files WHERE processing_status IN ('pending', 'processing') AND uploaded_at < '2026-06-30Z'
UNION ALL SELECT count(*), 'clones' FROM voice_clones WHERE status = 'training' AND created_at < '2026-06-30Z'
UNION ALL SELECT count(*), 'videos' FROM generated_videos WHERE status = 'processing' AND created_at < '2026-06-30Z'
UNION ALL SELECT count(*), 'avatars' FROM avatars WHERE status = 'deleted' AND scheduled_hard_delete_at < '2026-07-01Z'
UNION ALL SELECT count(*), 'documents' FROM avatar_knowledge_files WHERE processing_status = 'pending' AND uploaded_at < '2026-06-30Z'
UNION ALL SELECT count(*), 'images' FROM generated_images WHERE is_flagged OR moderation_status IN ('pending', 'flagged')
UNION ALL SELECT count(*), 'marked' FROM avatars WHERE is_flagged OR moderation_status IN ('pending', 'flagged')
UNION ALL SELECT count(*), 'failed in eight days' FROM avatar_training_data WHERE status = 'failed' AND created_at >= '2026-06-23Z'
UNION ALL SELECT count(*), 'failed in eight days' FROM avatar_fine_tune_jobs WHERE status = 'failed' AND created_at >= '2026-06-23Z'
UNION ALL SELECT count(*), 'failed in eight days' FROM avatar_training_files WHERE processing_status = 'failed' AND uploaded_at >= '2026-06-23Z'
UNION ALL SELECT count(*), 'failed in eight days' FROM avatar_knowledge_files WHERE processing_status = 'error' AND uploaded_at >= '2026-06-23Z'
UNION ALL SELECT count(*), 'failed in eight days' FROM generated_videos WHERE status = 'failed' AND created_at >= '2026-06-23Z'
UNION ALL SELECT count(*), 'unusual keys' FROM (
    WITH days AS (
        SELECT api_key_id, (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS requests
        FROM api_request_logs WHERE created_at >= '2026-06-02Z' AND created_at < '2026-07-01Z' AND api_key_id IS NOT NULL
        GROUP BY 1, 2
    ), each_day AS (
        SELECT k.api_key_id, s.day::date AS day, coalesce(d.requests, 0) AS requests
        FROM (SELECT DISTINCT api_key_id FROM days) AS k
        CROSS JOIN generate_series(timestamp '2026-06-02', '2026-06-30', interval '1 day') AS s (day)
        LEFT JOIN days d ON d.api_key_id = k.api_key_id AND d.day = s.day::date
    ), middle AS (
        SELECT api_key_id, percentile_disc(0.5) WITHIN GROUP (ORDER BY requests) AS median
        FROM each_day WHERE day < '2026-06-30' GROUP BY api_key_id
    ), spread AS (
        SELECT api_key_id, percentile_disc(0.5) WITHIN GROUP (ORDER BY abs(requests - median)) AS deviation
        FROM each_day JOIN middle USING (api_key_id) WHERE day < '2026-06-30' GROUP BY api_key_id
    )
    SELECT FROM each_day d JOIN middle m USING (api_key_id) JOIN spread s USING (api_key_id)
    WHERE d.day = '2026-06-30' AND abs(d.requests - m.median) > 5 * s.deviation AND greatest(d.requests, m.median) >= 20
) AS k;
