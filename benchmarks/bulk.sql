-- The change of tier as somebody would write it by hand, with an entry for each user: the rows' images left out.
BEGIN;
CREATE TEMPORARY TABLE wanted (id uuid, email text) ON COMMIT DROP;
\copy wanted FROM pstdin CSV HEADER

UPDATE user_subscriptions s SET status = 'cancelled', expires_at = now(), cancelled_at = now()
FROM wanted w, subscription_tiers t
WHERE s.user_id = w.id AND t.name = :'tier' AND s.tier_id <> t.id AND s.status = 'active';

INSERT INTO user_subscriptions (user_id, tier_id, started_at)
SELECT w.id, t.id, now() FROM wanted w, subscription_tiers t WHERE t.name = :'tier'
ON CONFLICT (user_id, tier_id) DO UPDATE
SET status = 'active', started_at = now(), expires_at = NULL, cancelled_at = NULL;

UPDATE profiles p SET subscription_tier_id = t.id FROM wanted w, subscription_tiers t
WHERE p.id = w.id AND t.name = :'tier';

INSERT INTO admin_audit_logs (admin_user_id, action, resource_type, resource_id, description, changes)
SELECT a.id, 'tier.set', 'user', w.id, 'moved to ' || :'tier', jsonb_build_object('tier', :'tier')
FROM wanted w, (SELECT id FROM admin_users LIMIT 1) AS a;
COMMIT;
