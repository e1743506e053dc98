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

INSERT INTO api_request_logs (id, api_key_id, user_id, endpoint, method, status_code, created_at)
SELECT pg_temp.id('call', number * 10 + step),
       CASE WHEN number % 1000 > 0 THEN pg_temp.id('key', owner) END,
       CASE WHEN number % 7 > 0 THEN pg_temp.id('user', owner) END,
       (ARRAY['/avatar-chat', '/avatar-config', '/avatar-knowledge', '/avatar-conversations'])[1 + step % 4],
       CASE WHEN step % 4 = 1 THEN 'GET' ELSE 'POST' END, 200,
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

INSERT INTO tts_generations (id, user_id, voice_clone_id, text, model, created_at)
SELECT pg_temp.id('speech', number * 10 + step), pg_temp.id('user', owner), pg_temp.id('voice', owner),
       repeat('Spoken words. ', 1 + (number % 17)::int + step), 'eleven_multilingual_v2', at + step * interval '35 seconds'
FROM session, generate_series(0, 9) AS step
WHERE number % 20 >= 18;

-- One piece in forty has an embedding: more would fill the disk, and all that is asked of one is whether it is there.
INSERT INTO document_chunks (id, avatar_id, user_id, knowledge_file_id, chunk_text, chunk_index, chunk_size, embedding)
SELECT pg_temp.id('chunk', number * 10 + step), pg_temp.id('avatar', owner), pg_temp.id('user', owner),
       pg_temp.id('file', owner), CASE WHEN step = 0 THEN '' ELSE repeat('What a file says. ', 20 + step) || number END,
       step, 400, CASE WHEN number % 40 = 5 THEN array_fill(0.5::real, ARRAY[1536]) END
FROM session, generate_series(0, 9) AS step
WHERE number % 20 = 5;
COMMIT;

VACUUM (ANALYZE);
