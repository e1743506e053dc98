-- A platform with log rows in the days up to one, the same at every run.
-- psql variables: users, rows (of the four logs together), today, days.
BEGIN;
-- Rows are made wholesale: no trigger writes profiles, no foreign key is looked up.
SET LOCAL session_replication_role = replica;
SET LOCAL timezone = 'UTC';
SELECT setseed(0.25);

CREATE FUNCTION pg_temp.id(kind text, number bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE RETURN md5(kind || number)::uuid;

-- Users come in the order of their activity: the first ones are the heavy ones.
INSERT INTO auth.users (id, email, created_at)
SELECT pg_temp.id('user', number), format('user%s@example.com', number), date :'today' - :days
FROM generate_series(1, :users) AS number;

INSERT INTO profiles (id, email, created_at)
SELECT id, email, created_at FROM auth.users;

-- Everybody has an avatar and a key; the most active fifth has a second avatar, and the marketplace one of nobody's.
INSERT INTO avatars (id, user_id, name, created_at)
SELECT pg_temp.id('avatar', number),
       CASE WHEN number > 0 THEN pg_temp.id('user', (number - 1) % :users + 1) END,
       'Avatar ' || number, date :'today' - :days + number % (:days * 24) * interval '1 hour'
FROM generate_series(0, :users * 6 / 5) AS number;

INSERT INTO platform_api_keys (id, user_id, key_name, api_key_hash, api_key_prefix)
SELECT pg_temp.id('key', number), pg_temp.id('user', number), 'key', md5('hash' || number), 'pk_live_'
FROM generate_series(1, :users) AS number;

-- A log grows by sessions: ten rows of one user within minutes. The platform grows with time, so sessions become
-- denser, and a few users have most of them: a tenth of the users, almost half.
CREATE TEMPORARY TABLE session ON COMMIT DROP AS
SELECT number, 1 + floor(:users * random() ^ 3)::int AS owner,
       date :'today' - :days + interval '1 day' + (:days - 1) * interval '1 day' * sqrt(number / (:rows / 10.0)) AS at
FROM generate_series(1, :rows / 10) AS number;

-- One client in seven leaves its key alone, a few leave nothing, and a few calls have lost their time.
INSERT INTO api_request_logs (id, api_key_id, user_id, endpoint, method, status_code, created_at)
SELECT pg_temp.id('call', number * 10 + step),
       CASE WHEN number % 1000 > 0 THEN pg_temp.id('key', owner) END,
       CASE WHEN number % 1000 > 0 AND number % 7 > 0 THEN pg_temp.id('user', owner) END,
       '/v1/chat', 'POST', 200,
       CASE WHEN number % 5000 <> 1 THEN at + step * interval '35 seconds' END
FROM session, generate_series(0, 9) AS step
WHERE number % 10 < 4;

INSERT INTO conversations (id, avatar_id, phone_number, text, "timestamp")
SELECT pg_temp.id('exchange', number * 10 + step),
       pg_temp.id('avatar', CASE WHEN number % 1000 = 4 THEN 0
                                 WHEN owner <= :users / 5 AND number % 3 = 0 THEN owner + :users ELSE owner END),
       '+155500' || owner, repeat('What was said. ', 4 + step), at + step * interval '35 seconds'
FROM session, generate_series(0, 9) AS step
WHERE number % 10 BETWEEN 4 AND 6;

INSERT INTO rag_search_logs (id, user_id, avatar_id, query_text, chunks_found, created_at)
SELECT pg_temp.id('search', number * 10 + step), pg_temp.id('user', owner), pg_temp.id('avatar', owner),
       repeat('What is asked? ', 2 + step), step, at + step * interval '35 seconds'
FROM session, generate_series(0, 9) AS step
WHERE number % 10 BETWEEN 7 AND 8;

INSERT INTO tts_generations (id, user_id, text, created_at)
SELECT pg_temp.id('speech', number * 10 + step), pg_temp.id('user', owner),
       repeat('Spoken words. ', 1 + (number % 17)::int + step), at + step * interval '35 seconds'
FROM session, generate_series(0, 9) AS step
WHERE number % 10 = 9;
COMMIT;

VACUUM (ANALYZE);
