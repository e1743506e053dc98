-- So many users on the tier starter, and one admin.
INSERT INTO auth.users (id, email, created_at)
SELECT gen_random_uuid(), format('user%s@example.com', n), now() FROM generate_series(1, :users) AS n;
INSERT INTO user_subscriptions (user_id, tier_id)
SELECT u.id, t.id FROM auth.users u, subscription_tiers t WHERE t.name = 'starter';
UPDATE profiles SET subscription_tier_id = t.id FROM subscription_tiers t WHERE t.name = 'starter';
WITH made AS (INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), 'admin@example.com') RETURNING id)
INSERT INTO admin_users (user_id, role) SELECT id, 'super_admin' FROM made;
VACUUM ANALYZE;
