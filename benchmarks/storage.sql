-- A platform's buckets and the rows that name what is in them.
-- psql variables: users, objects, today.
BEGIN;
-- Rows are made wholesale: no trigger writes profiles, no foreign key is looked up.
SET LOCAL session_replication_role = replica;

CREATE FUNCTION pg_temp.id(kind text, number bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
RETURN md5(kind || number)::uuid;

INSERT INTO auth.users (id, email, created_at)
SELECT pg_temp.id('user', number), format('user%s@example.com', number), date :'today' - interval '1 year'
FROM generate_series(1, :users) AS number;

-- Half of what is stored are images, a quarter is speech. The users who came first have most of it. A tenth has no row
-- any more, in fifty one has no size, and of a hundred rows one has no object.
CREATE TEMPORARY TABLE file ON COMMIT DROP AS
SELECT number, pg_temp.id('file', number) AS id,
       pg_temp.id('user', 1 + (:users * ((number * 7919) % 1000003 / 1000003.0) ^ 3)::int % :users) AS owner,
       (ARRAY['generated-images', 'voice-samples', 'generated-images', 'voice-samples', 'generated-images',
              'avatar-memories', 'generated-images', 'knowledge-base', 'generated-images', 'avatar-memories',
              'generated-images', 'avatars', 'generated-images', 'generated-videos', 'generated-images',
              'knowledge-base', 'generated-images', 'voice-samples', 'voice-samples', 'training-files'
             ])[1 + number % 20] AS bucket,
       number % 10 <> (number / 20) % 10 AS is_named,
       date :'today' - interval '1 year' + number * (interval '1 year' / :objects) AS at
FROM generate_series(1::bigint, :objects) AS number;

ALTER TABLE file ADD COLUMN key text;
UPDATE file SET key = owner || CASE bucket
    WHEN 'generated-images' THEN '/' || id || '_' || extract(epoch FROM at)::bigint || '.png'
    WHEN 'generated-videos' THEN '/' || id || '_' || extract(epoch FROM at)::bigint || '.mp4'
    WHEN 'avatars' THEN '/avatars/' || extract(epoch FROM at)::bigint || '-' || left(id::text, 8) || '.jpg'
    WHEN 'voice-samples' THEN '/' || id || '_' || extract(epoch FROM at)::bigint || '.mp3'
    ELSE '/' || pg_temp.id('avatar', number % 50000) || '/' || extract(epoch FROM at)::bigint || '-' || left(id::text, 8)
END;
ALTER TABLE file ADD COLUMN url text;
UPDATE file SET url = 'https://project.supabase.co/storage/v1/object/public/' || bucket || '/' || key;

INSERT INTO storage.objects (id, bucket_id, name, created_at, updated_at, metadata)
SELECT id, bucket, key, at, at,
       CASE WHEN number % 50 = 1 THEN jsonb_build_object('mimetype', 'application/octet-stream')
            ELSE jsonb_build_object('size', 1000 + number * 7919 % 3000000, 'eTag', '"' || md5(number::text) || '"',
                                    'mimetype', 'application/octet-stream', 'cacheControl', 'max-age=3600') END
FROM file WHERE number % 100 <> 7;

INSERT INTO generated_images (id, user_id, prompt, image_url, created_at)
SELECT id, owner, 'A lighthouse at night, in the style of a woodcut',
       -- A provider's URL is not ours, and an image may be in the row itself.
       CASE WHEN number % 30 <> 3 THEN url
            WHEN number % 60 = 3 THEN 'https://tempfile.provider.example/' || id || '.png'
            ELSE 'data:image/png;base64,' || repeat(md5(id::text), 50) END, at
FROM file WHERE bucket = 'generated-images' AND (is_named OR number % 30 = 3);
INSERT INTO generated_videos (id, user_id, task_id, prompt, provider, status, video_url, created_at)
SELECT id, owner, id, 'Waves', 'veo3-fast', 'completed', url, at FROM file WHERE bucket = 'generated-videos' AND is_named;
INSERT INTO tts_generations (id, user_id, text, audio_url, created_at)
SELECT id, owner, 'What was said.', url, at FROM file WHERE bucket = 'voice-samples' AND is_named;
INSERT INTO memory_images (id, memory_id, user_id, image_url, image_path, created_at)
SELECT id, id, owner, url, key, at FROM file WHERE bucket = 'avatar-memories' AND is_named;
INSERT INTO avatar_knowledge_files (id, avatar_id, user_id, file_name, original_name, file_path, file_size, content_type, uploaded_at)
SELECT id, pg_temp.id('avatar', number % 50000), owner, 'f', 'f', key, 1000, 'application/pdf', at
FROM file WHERE bucket = 'knowledge-base' AND is_named;
INSERT INTO avatar_training_files (id, training_data_id, user_id, file_name, original_name, file_path, file_size, content_type, uploaded_at)
SELECT id, id, owner, 'f', 'f', key, 1000, 'text/plain', at FROM file WHERE bucket = 'training-files' AND is_named;
INSERT INTO avatars (id, user_id, name, avatar_images, created_at)
SELECT id, owner, 'Avatar', ARRAY[url], at FROM file WHERE bucket = 'avatars' AND is_named;
COMMIT;

VACUUM (ANALYZE);
