-- The least an aggregation can do: count each log's rows by user and month, and write nothing.
-- psql variables: work_mem.
SET timezone = 'UTC';
SET work_mem = :'work_mem';
SELECT count(*)
FROM (
    SELECT user_id, date_trunc('month', created_at) AS month, count(*) FROM api_request_logs GROUP BY 1, 2
    UNION ALL
    SELECT avatar_id, date_trunc('month', "timestamp"), count(*) FROM conversations GROUP BY 1, 2
    UNION ALL
    SELECT user_id, date_trunc('month', created_at), count(*) FROM rag_search_logs GROUP BY 1, 2
    UNION ALL
    SELECT user_id, date_trunc('month', created_at), sum(length(text)) FROM tts_generations GROUP BY 1, 2
) AS figures;
