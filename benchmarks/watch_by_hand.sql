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
SELECT f.id AS file_id, f.original_name AS file, coalesce(c.chunks, 0) AS chunks, c.smallest, c.median, c.largest,
       coalesce(c.empty, 0) AS empty, coalesce(c.duplicated, 0) AS duplicated,
       coalesce(c.without_embedding, 0) AS without_embedding
FROM avatar_knowledge_files f
LEFT JOIN (SELECT knowledge_file_id, count(*) AS chunks, min(length(chunk_text)) AS smallest, max(length(chunk_text)) AS largest,
                  percentile_cont(0.5) WITHIN GROUP (ORDER BY length(chunk_text)) AS median,
                  count(*) FILTER (WHERE btrim(chunk_text) = '') AS empty,
                  count(*) - count(DISTINCT md5(chunk_text)) AS duplicated,
                  count(*) FILTER (WHERE embedding IS NULL) AS without_embedding
           FROM document_chunks GROUP BY knowledge_file_id) AS c ON c.knowledge_file_id = f.id
ORDER BY without_embedding DESC;

-- avatarlab training errors --since 2025-07-01
SELECT message, count(*) AS occurrences, count(DISTINCT user_id) AS users, min(created_at) AS first_seen,
       max(created_at) AS last_seen
FROM (SELECT regexp_replace(regexp_replace(regexp_replace(
                 left(split_part(btrim(coalesce(nullif(details ->> 'error', ''), message), E' \n\r\t'), E'\n', 1), 300),
                 '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '<id>', 'gi'),
                 '\m(ftjob|file|org|req|run)[-_](?=[a-z]*[0-9])[0-9a-z]{6,}', '<id>', 'gi'), '[0-9]+', '<n>', 'g') AS message,
             user_id, created_at
      FROM avatar_training_logs WHERE log_type = 'error' AND created_at >= '2025-07-01Z') AS e
GROUP BY message ORDER BY occurrences DESC;

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
