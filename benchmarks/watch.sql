-- A platform whose logs have so many rows in the twelve months up to a day, the same at every run.
-- psql variables: users, rows (of the six logs together), today.
BEGIN;
-- Rows are made wholesale: no trigger writes profiles, no foreign key is looked up.
SET LOCAL session_replication_role = replica;
SET LOCAL timezone = 'UTC';
SELECT setseed(0.25);

CREATE FUNCTION pg_temp.id(kind text, number bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE RETURN md5(kind || number)::uuid;

-- Users come in the order of their activity: the first ones are the heavy ones.
INSERT INTO auth.users (id, email, created_at)
SELECT pg_temp.id('user', number), format('user%s@example.com', number), date :'today' - interval '1 year'
FROM generate_series(1, :users) AS number;
INSERT INTO profiles (id, email, created_at) SELECT id, email, created_at FROM auth.users;

-- Everybody has an avatar, a key, a voice and a knowledge file; every tenth has trained the avatar.
INSERT INTO avatars (id, user_id, name, base_model, created_at)
SELECT pg_temp.id('avatar', number), pg_temp.id('user', number), 'Avatar ' || number,
       CASE WHEN number % 3 = 0 THEN 'gpt-4o' ELSE 'gpt-4o-mini' END, date :'today' - interval '1 year'
FROM generate_series(1, :users) AS number;
INSERT INTO platform_api_keys (id, user_id, key_name, api_key_hash, api_key_prefix, status, request_count, created_at)
SELECT pg_temp.id('key', number), pg_temp.id('user', number), 'key', md5('hash' || number), 'pk_live_' || number,
       CASE WHEN number % 10 = 0 THEN 'revoked' ELSE 'active' END, number % 300, date :'today' - interval '1 year'
FROM generate_series(1, :users) AS number;
INSERT INTO voice_clones (id, user_id, name, elevenlabs_voice_id, created_at)
SELECT pg_temp.id('voice', number), pg_temp.id('user', number), 'Voice', 'v' || number, date :'today' - interval '1 year'
FROM generate_series(1, :users) AS number;
INSERT INTO avatar_knowledge_files (id, avatar_id, user_id, file_name, original_name, file_path, file_size,
                                    content_type, processing_status, uploaded_at)
SELECT pg_temp.id('file', number), pg_temp.id('avatar', number), pg_temp.id('user', number), 'f', 'File ' || number,
       'f', 1000, 'text/plain', CASE WHEN number % 20 = 0 THEN 'error' ELSE 'processed' END,
       date :'today' - interval '200 days'
FROM generate_series(1, :users) AS number;
INSERT INTO avatar_training_data (id, avatar_id, user_id, status, created_at)
SELECT pg_temp.id('run', number), pg_temp.id('avatar', number), pg_temp.id('user', number), 'completed',
       date :'today' - interval '1 year'
FROM generate_series(10, :users, 10) AS number;

-- A log grows by sessions: ten rows of one user within minutes. The platform grows with time, so sessions become
-- denser, and a few users have most of them: a tenth of the users, almost half.
CREATE TEMPORARY TABLE session ON COMMIT DROP AS
SELECT number, 1 + floor(:users * random() ^ 3)::int AS owner,
       date :'today' - interval '1 year' + interval '1 day' + interval '364.9 days' * sqrt(number / (:rows / 10.0)) AS at
FROM generate_series(1, :rows / 10) AS number;

INSERT INTO api_request_logs (id, api_key_id, user_id, endpoint, method, status_code, request_duration_ms, created_at)
SELECT pg_temp.id('call', number * 10 + step),
       CASE WHEN number % 1000 > 0 THEN pg_temp.id('key', owner) END,
       CASE WHEN number % 7 > 0 THEN pg_temp.id('user', owner) END,
       (ARRAY['/avatar-chat', '/avatar-config', '/avatar-knowledge', '/avatar-conversations'])[1 + step % 4],
       CASE WHEN step % 4 = 1 THEN 'GET' ELSE 'POST' END, 200, CASE WHEN number % 4 = 0 THEN number * 7 % 900 + step END,
       CASE WHEN number % 5000 <> 1 THEN at + step * interval '35 seconds' END
FROM session, generate_series(0, 9) AS step
WHERE number % 20 < 6;

INSERT INTO conversation_feedback (id, avatar_id, user_id, user_message, avatar_response, feedback, created_at)
SELECT pg_temp.id('said', number * 10 + step), pg_temp.id('avatar', owner), pg_temp.id('user', owner),
       repeat('What is asked? ', 2 + step), repeat('What is answered. ', 3 + step),
       CASE WHEN step < 7 THEN 'neutral' WHEN (number + owner) % 4 > 0 THEN 'good' ELSE 'bad' END,
       at + step * interval '35 seconds'
FROM session, generate_series(0, 9) AS step
WHERE number % 20 BETWEEN 6 AND 10;

INSERT INTO conversations (id, avatar_id, phone_number, text, "timestamp")
SELECT pg_temp.id('exchange', number * 10 + step), pg_temp.id('avatar', owner), '+155500' || number % 90000,
       repeat('What was said. ', 4 + step), at + step * interval '35 seconds'
FROM session, generate_series(0, 9) AS step
WHERE number % 20 BETWEEN 11 AND 13;

INSERT INTO rag_search_logs (id, user_id, avatar_id, query_text, chunks_found, top_similarity_score, created_at)
SELECT pg_temp.id('search', number * 10 + step), pg_temp.id('user', owner), pg_temp.id('avatar', owner),
       repeat('What is sought? ', 2 + step), step, CASE WHEN step > 0 THEN 0.7 + step / 64.0 ELSE 0 END,
       at + step * interval '35 seconds'
FROM session, generate_series(0, 9) AS step
WHERE number % 20 BETWEEN 14 AND 16;

INSERT INTO avatar_training_logs (id, avatar_id, user_id, training_data_id, log_type, message, details, created_at)
SELECT pg_temp.id('line', number * 10 + step), pg_temp.id('avatar', run), pg_temp.id('user', run),
       pg_temp.id('run', run), CASE WHEN step = 9 AND number % 3 = 0 THEN 'error' ELSE 'processing_step' END,
       format('Step %s of file %s', step, number),
       CASE WHEN step = 9 THEN jsonb_build_object('error', 'Rate limit reached for file ' || number % 50) ELSE '{}' END,
       at + step * interval '35 seconds'
FROM (SELECT number, at, (owner / 10 + 1) * 10 AS run FROM session WHERE number % 20 = 17) AS s,
     generate_series(0, 9) AS step
WHERE run <= :users;

INSERT INTO tts_generations (id, user_id, voice_clone_id, text, audio_url, model, created_at)
SELECT pg_temp.id('speech', number * 10 + step), pg_temp.id('user', owner), pg_temp.id('voice', owner),
       repeat('Spoken words. ', 1 + (number % 17)::int + step), 'https://x.supabase.co/storage/v1/object/public/voice-samples/'
       || pg_temp.id('user', owner) || '/tts/' || number * 10 + step || '.mp3', 'eleven_multilingual_v2', at + step * interval '35 seconds'
FROM session, generate_series(0, 9) AS step
WHERE number % 20 >= 18;

-- One piece in forty has an embedding: more would fill the disk, and all that is asked of one is whether it is there.
INSERT INTO document_chunks (id, avatar_id, user_id, knowledge_file_id, chunk_text, chunk_index, chunk_size, embedding)
SELECT pg_temp.id('chunk', number * 10 + step), pg_temp.id('avatar', owner), pg_temp.id('user', owner),
       pg_temp.id('file', owner), CASE WHEN step = 0 THEN '' ELSE repeat('What a file says. ', 20 + step) || number END,
       step, 400, CASE WHEN number % 40 = 5 THEN array_fill(0.5::real, ARRAY[1536]) END
FROM session, generate_series(0, 9) AS step
WHERE number % 20 = 5;
-- What is no log has a few hundred thousand rows to a million where the logs have five million, spread over the same year.
CREATE FUNCTION pg_temp.at(number bigint, rows bigint) RETURNS timestamptz
LANGUAGE sql STABLE RETURN date :'today' - interval '1 year' + interval '1 year' * (number / rows::float8);

INSERT INTO avatars (id, user_id, name, status, deleted_at, scheduled_hard_delete_at, is_flagged, flagged_at, moderation_status,
                     is_public, is_marketplace_item, price, total_sales, base_model, created_at)
SELECT pg_temp.id('another', number), pg_temp.id('user', 1 + number % :users), 'Another ' || number,
       CASE WHEN is_gone THEN 'deleted' WHEN number % 20 = 1 THEN 'archived' ELSE 'active' END,
       CASE WHEN is_gone THEN at END, CASE WHEN is_gone THEN at + interval '90 days' END,
       number % 30 = 2, CASE WHEN number % 30 = 2 THEN at END,
       CASE WHEN number % 30 = 2 THEN 'flagged' WHEN number % 30 = 3 THEN 'pending' ELSE 'approved' END,
       number % 4 = 1, number % 5 = 1, number % 50, number % 9, 'gpt-4o-mini', at
FROM (SELECT number, number % 10 = 0 AS is_gone, pg_temp.at(number, :rows / 25) AS at
      FROM generate_series(1, :rows / 25) AS number) AS n;
INSERT INTO purchases (id, user_id, avatar_id, price_paid, currency, status, purchased_at)
SELECT pg_temp.id('bought', number), pg_temp.id('user', 1 + number % :users),
       pg_temp.id('another', 1 + (number / :users * 8000 + number % :users * 7) % (:rows / 25)), number % 50,
       CASE WHEN number % 40 = 1 THEN 'EUR' ELSE 'USD' END,
       (ARRAY['refunded', 'pending', 'failed'])[nullif(number % 12, 0)], pg_temp.at(number, :rows / 10)
FROM generate_series(1, :rows / 10) AS number;
UPDATE purchases SET status = 'completed' WHERE status IS NULL;

-- One image in two hundred is in its row.
INSERT INTO generated_images (id, user_id, prompt, provider, model, generation_type, image_url, is_favorite, is_flagged,
                              moderation_status, created_at)
SELECT pg_temp.id('image', number), pg_temp.id('user', owner), repeat('What is to be seen. ', 1 + (number % 12)::int),
       (ARRAY['kie-ai', 'OpenAI', 'stability'])[1 + number % 3], (ARRAY['qwen', 'dall-e-3', 'nano-banana'])[1 + number % 3],
       CASE WHEN number % 9 = 0 THEN 'img2img' ELSE 'text2img' END,
       CASE WHEN number % 200 = 0 THEN 'data:image/png;base64,' || repeat('A', 20000)
            WHEN number % 10 = 1 THEN 'https://elsewhere.example.com/' || number
            ELSE 'https://x.supabase.co/storage/v1/object/public/generated-images/' || pg_temp.id('user', owner) || '/' || number END,
       number % 15 = 0, number % 60 = 0, CASE WHEN number % 60 = 0 THEN 'flagged' WHEN number % 80 = 1 THEN 'pending' ELSE 'approved' END,
       pg_temp.at(number, :rows / 5)
FROM (SELECT number, 1 + floor(:users * random() ^ 3)::int AS owner FROM generate_series(1, :rows / 5) AS number) AS n;
INSERT INTO image_collections (id, user_id, name)
SELECT pg_temp.id('gallery', number), pg_temp.id('user', number), 'Gallery' FROM generate_series(1, :users) AS number;
INSERT INTO image_collection_items (collection_id, image_id, user_id)
SELECT pg_temp.id('gallery', 1 + number % :users), pg_temp.id('image', number), pg_temp.id('user', 1 + number % :users)
FROM generate_series(1, :rows / 25) AS number;
INSERT INTO generated_videos (id, user_id, task_id, prompt, provider, model, status, created_at, completed_at)
SELECT pg_temp.id('video', number), pg_temp.id('user', 1 + number % :users), 'task' || number, 'What moves.', 'kie-ai', 'hailuo',
       CASE WHEN number % 10 = 0 THEN 'failed' WHEN number % 50 = 1 THEN 'processing' ELSE 'completed' END, at,
       CASE WHEN number % 10 > 1 THEN at + interval '1 second' * (60 + number % 200) END
FROM (SELECT number, pg_temp.at(number, :rows / 25) AS at FROM generate_series(1, :rows / 25) AS number) AS n;

INSERT INTO avatar_memories (id, avatar_id, user_id, title, memory_date, image_url, image_path, memory_description,
                             memory_summary, is_favorite, is_private, created_at)
SELECT pg_temp.id('memory', number), pg_temp.id('avatar', 1 + number % :users), pg_temp.id('user', 1 + number % :users),
       'Memory ' || number, at::date, 'u', 'p' || number, repeat('What was seen. ', 20), 'In short.', number % 11 = 0,
       number % 7 = 0, at
FROM (SELECT number, pg_temp.at(number, :rows / 10) AS at FROM generate_series(1, :rows / 10) AS number) AS n;
-- Of twenty, one has no image, one none that is primary, and every second a further one.
INSERT INTO memory_images (memory_id, user_id, image_url, image_path, is_primary, caption, created_at)
SELECT pg_temp.id('memory', number), pg_temp.id('user', 1 + number % :users), 'u', 'p', step = 0 AND number % 20 <> 3,
       CASE WHEN number % 3 = 0 THEN 'A caption' END, pg_temp.at(number, :rows / 10)
FROM generate_series(1, :rows / 10) AS number, generate_series(0, 1) AS step
WHERE number % 20 > 0 AND step <= number % 2;

INSERT INTO avatar_training_data (id, avatar_id, user_id, training_type, status, created_at, completed_at)
SELECT pg_temp.id('session', number), pg_temp.id('avatar', 1 + number % :users), pg_temp.id('user', 1 + number % :users),
       CASE WHEN number % 3 = 0 THEN 'full_training' ELSE 'prompt_update' END,
       CASE WHEN number % 10 = 0 THEN 'failed' WHEN number % 50 = 1 THEN 'processing' ELSE 'completed' END, at,
       CASE WHEN number % 10 > 1 THEN at + interval '1 second' * (60 + number % 200) END
FROM (SELECT number, pg_temp.at(number, :rows / 25) AS at FROM generate_series(1, :rows / 25) AS number) AS n;
INSERT INTO avatar_fine_tune_jobs (id, avatar_id, user_id, openai_job_id, base_model, fine_tuned_model, status, trained_tokens,
                                   created_at, started_at, finished_at)
SELECT pg_temp.id('job', number), pg_temp.id('avatar', 1 + number % :users), pg_temp.id('user', 1 + number % :users),
       'ftjob-' || number, 'gpt-4o-mini-2024-07-18', 'ft:gpt-4o-mini-2024-07-18:x::' || number,
       CASE WHEN number % 10 = 0 THEN 'failed' WHEN number % 50 = 1 THEN 'running' ELSE 'succeeded' END,
       CASE WHEN number % 10 > 1 THEN 1000 * (number % 500 + 1) END, at, at + interval '1 minute',
       CASE WHEN number % 50 <> 1 THEN at + interval '1 second' * (600 + number % 3000) END
FROM (SELECT number, pg_temp.at(number, :rows / 25) AS at FROM generate_series(1, :rows / 25) AS number) AS n;
INSERT INTO avatar_fine_tune_usage (avatar_id, user_id, fine_tuned_model, input_tokens, output_tokens, usage_date)
SELECT pg_temp.id('avatar', 1 + number % :users), pg_temp.id('user', 1 + number % :users), 'ft:gpt-4o-mini-2024-07-18:x::1',
       number % 9000, number % 4000, date :'today' - (number / :users)::int
FROM generate_series(0, :rows / 25 - 1) AS number;
INSERT INTO avatar_training_files (id, training_data_id, user_id, file_name, original_name, file_path, file_size, content_type,
                                   processing_status, uploaded_at, processed_at)
SELECT pg_temp.id('upload', number), pg_temp.id('session', 1 + number % (:rows / 25)), pg_temp.id('user', 1 + number % :users),
       'f', 'File ' || number, 'path/' || number / 2, 1000 + number / 2 % 9000,
       CASE WHEN number % 4 = 0 THEN 'application/pdf' ELSE 'text/plain' END,
       CASE WHEN number % 10 = 0 THEN 'failed' WHEN number % 50 = 1 THEN 'processing' ELSE 'completed' END, at,
       CASE WHEN number % 10 > 1 THEN at + interval '1 second' * (number % 100) END
FROM (SELECT number, pg_temp.at(number, :rows / 10) AS at FROM generate_series(1, :rows / 10) AS number) AS n;
INSERT INTO avatar_training_examples (avatar_id, user_id, system_prompt, user_message, assistant_message, source_type,
                                      quality_score, pattern_type, used_in_training, created_at)
SELECT pg_temp.id('avatar', 1 + number % :users), pg_temp.id('user', 1 + number % :users), 'You are.', repeat('What? ', 20),
       repeat('That. ', 20), (ARRAY['uploaded_file', 'chat_history', 'manual_entry'])[1 + number % 3],
       CASE WHEN number % 13 > 0 THEN number % 101 / 100.0 END, 'question', number % 2 = 0, pg_temp.at(number, :rows / 5)
FROM generate_series(1, :rows / 5) AS number;
-- One avatar has a tenth of all versions.
INSERT INTO avatar_prompt_versions (avatar_id, user_id, version_number, system_prompt, is_active, created_at)
SELECT pg_temp.id('avatar', owner), pg_temp.id('user', owner), 'v' || number, repeat('You are. ', 50), number % 10 = 0,
       pg_temp.at(number, :rows / 25)
FROM (SELECT number, CASE WHEN number % 10 = 0 THEN 1 ELSE 1 + number % :users END AS owner
      FROM generate_series(1, :rows / 25) AS number) AS n;

INSERT INTO avatar_knowledge_files (id, avatar_id, user_id, file_name, original_name, file_path, file_size, content_type,
                                    processing_status, uploaded_at)
SELECT pg_temp.id('document', number), pg_temp.id('avatar', 1 + number % :users), pg_temp.id('user', 1 + number % :users), 'f',
       'Document ' || number, 'f', 1000 + number % 5000, 'text/plain',
       CASE WHEN number % 20 = 0 THEN 'error' WHEN number % 50 = 1 THEN 'pending' ELSE 'processed' END,
       pg_temp.at(number, :rows / 10)
FROM generate_series(1, :rows / 10) AS number;
INSERT INTO conversation_patterns (id, avatar_id, user_id, trigger_words, response_pattern, usage_count, success_rate,
                                   pattern_type, created_at, updated_at)
SELECT pg_temp.id('pattern', number), pg_temp.id('avatar', 1 + number % :users), pg_temp.id('user', 1 + number % :users),
       ARRAY['word' || number % 500, 'other'], 'That.', number % 1000 * 7919 % 1000, number % 101 / 100.0,
       (ARRAY['greeting', 'question', 'casual', 'formal', 'general'])[1 + number % 5], at, at + interval '6 hours'
FROM (SELECT number, pg_temp.at(number, :rows / 10) AS at FROM generate_series(1, :rows / 10) AS number) AS n;

INSERT INTO voice_clones (id, user_id, name, elevenlabs_voice_id, status, sample_count, created_at)
SELECT pg_temp.id('clone', number), pg_temp.id('user', 1 + number % :users), 'Clone ' || number, 'w' || number,
       CASE WHEN number % 20 = 0 THEN 'training' ELSE 'active' END, 2, pg_temp.at(number, :rows / 50)
FROM generate_series(1, :rows / 50) AS number;
-- A recording has a row of its upload, and nine of ten one more of the clone that was made from it.
INSERT INTO voice_samples (id, voice_clone_id, user_id, filename, file_url, file_size_bytes, duration_seconds, created_at)
SELECT pg_temp.id('recording' || step, number), CASE WHEN step = 1 THEN pg_temp.id('clone', 1 + number % (:rows / 50)) END,
       pg_temp.id('user', 1 + number % :users), 'r' || number, 'https://x.supabase.co/storage/v1/object/public/voice-samples/'
       || pg_temp.id('user', 1 + number % :users) || '/' || number || '.wav', CASE WHEN step = 0 THEN 10000 + number % 9000 END,
       CASE WHEN step = 0 THEN number % 60 END, pg_temp.at(number, :rows / 20) + step * interval '1 minute'
FROM generate_series(1, :rows / 20) AS number, generate_series(0, 1) AS step
WHERE step = 0 OR number % 10 > 0;
INSERT INTO storage.buckets (id, name) VALUES ('voice-samples', 'voice-samples') ON CONFLICT DO NOTHING;
INSERT INTO storage.objects (bucket_id, name, metadata, created_at)
SELECT 'voice-samples', split_part(url, '/voice-samples/', 2), jsonb_build_object('size', 5000 + row_number() OVER () % 9000), at
FROM (SELECT DISTINCT ON (file_url) file_url AS url, created_at AS at FROM voice_samples
      UNION ALL SELECT audio_url, created_at FROM tts_generations) AS f;

INSERT INTO system_logs (id, level, category, message, user_id, created_at)
SELECT pg_temp.id('entry', number), (ARRAY['debug', 'info', 'warn', 'error'])[1 + number % 4], 'auth', 'What happened ' || number,
       pg_temp.id('user', 1 + number % :users), pg_temp.at(number, :rows / 5)
FROM generate_series(1, :rows / 5) AS number;
COMMIT;

VACUUM (ANALYZE);
