"""Every irregularity a real platform shows: (name, query that counts it, least number a small demo must have)."""

URL = "https://%/storage/v1/object/public/"

SHAPES: list[tuple[str, str, int]] = [
    ("accounts", "SELECT count(*) FROM auth.users JOIN profiles USING (id)", 80),
    ("sessions", "SELECT count(*) FROM auth.sessions", 10),
    ("soft-deleted accounts", "SELECT count(*) FROM auth.users WHERE deleted_at IS NOT NULL", 2),
    ("bans in force", "SELECT count(*) FROM auth.users WHERE banned_until > :until", 1),
    ("bans run out", "SELECT count(*) FROM auth.users WHERE banned_until < :until", 1),
    (
        "changed addresses",
        "SELECT count(*) FROM auth.users u JOIN profiles p USING (id) WHERE u.email <> p.email",
        1,
    ),
    ("referrals", "SELECT count(*) FROM profiles WHERE referrer_id IS NOT NULL", 2),
    ("profile pictures", "SELECT count(*) FROM profiles WHERE avatar_url IS NOT NULL", 5),
    (
        "a long tail",
        (
            "SELECT (max(n) > 15 * percentile_cont(0.5) WITHIN GROUP (ORDER BY n))::int FROM"
            " (SELECT count(*) n FROM conversation_feedback GROUP BY user_id) per_user"
        ),
        1,
    ),
    (
        "growth",
        (
            "SELECT (count(*) FILTER (WHERE created_at > :until - interval '6 months') * 2 > count(*))::int"
            " FROM auth.users"
        ),
        1,
    ),
    (
        "churn",
        (
            "SELECT count(*) FROM (SELECT user_id FROM conversation_feedback GROUP BY user_id"
            " HAVING max(created_at) < :until - interval '60 days') gone"
        ),
        5,
    ),
    (
        "people without avatars",
        (
            "SELECT count(*) FROM profiles p WHERE p.id NOT IN"
            " (SELECT user_id FROM avatars WHERE user_id IS NOT NULL)"
        ),
        2,
    ),
    ("archived avatars", "SELECT count(*) FROM avatars WHERE status = 'archived'", 1),
    (
        "soft-deleted avatars",
        (
            "SELECT count(*) FROM avatars WHERE status = 'deleted' AND deleted_at IS NOT NULL"
            " AND scheduled_hard_delete_at > deleted_at"
        ),
        2,
    ),
    (
        "marketplace avatars",
        "SELECT count(*) FROM avatars WHERE user_id IS NULL AND is_public AND price > 0",
        10,
    ),
    ("completed purchases", "SELECT count(*) FROM purchases WHERE status = 'completed'", 3),
    ("refunds", "SELECT count(*) FROM purchases WHERE status = 'refunded'", 1),
    ("purchases in euro", "SELECT count(*) FROM purchases WHERE currency = 'EUR'", 1),
    ("voices", "SELECT count(*) FROM tts_voices", 6),
    ("templates", "SELECT count(*) FROM avatar_templates", 4),
    (
        "later prompt versions",
        "SELECT count(*) FROM avatar_prompt_versions WHERE parent_version_id IS NOT NULL",
        5,
    ),
    ("failed training", "SELECT count(*) FROM avatar_training_data WHERE status = 'failed'", 1),
    ("training errors", "SELECT count(*) FROM avatar_training_logs WHERE details->>'error' IS NOT NULL", 1),
    ("training examples", "SELECT count(*) FROM avatar_training_examples", 5),
    ("training files", "SELECT count(*) FROM avatar_training_files", 5),
    (
        "jobs stuck",
        "SELECT count(*) FROM avatar_fine_tune_jobs WHERE status = 'running' AND finished_at IS NULL",
        1,
    ),
    (
        "failed jobs",
        "SELECT count(*) FROM avatar_fine_tune_jobs WHERE status = 'failed' AND error_message > ''",
        1,
    ),
    (
        "succeeded jobs",
        (
            "SELECT count(*) FROM avatar_fine_tune_jobs WHERE trained_tokens > 0 AND finished_at >= created_at"
            " AND fine_tuned_model LIKE 'ft:%:avatarlab:%:%'"
        ),
        3,
    ),
    ("inference", "SELECT count(*) FROM avatar_fine_tune_usage WHERE input_tokens > 0", 10),
    ("models without a rate", "SELECT count(*) FROM avatars WHERE base_model LIKE 'gpt-4.1-nano%'", 1),
    (
        "unreadable documents",
        "SELECT count(*) FROM avatar_knowledge_files WHERE processing_status = 'error'",
        1,
    ),
    ("chunks", "SELECT count(*) FROM document_chunks WHERE embedding IS NULL", 50),
    ("embeddings", "SELECT count(*) FROM document_chunks WHERE embedding IS NOT NULL", 20),
    (
        "files with some embeddings",
        (
            "SELECT count(*) FROM (SELECT FROM document_chunks GROUP BY knowledge_file_id"
            " HAVING count(embedding) BETWEEN 1 AND count(*) - 1) f"
        ),
        1,
    ),
    ("blank chunks", "SELECT count(*) FROM document_chunks WHERE btrim(chunk_text, E' \\n') = ''", 1),
    (
        "chunks that come twice",
        "SELECT count(*) - count(DISTINCT (knowledge_file_id, chunk_text)) FROM document_chunks",
        2,
    ),
    ("empty searches", "SELECT count(*) FROM rag_search_logs WHERE chunks_found = 0", 5),
    (
        "ratings beside their neutral row",
        (
            "SELECT count(*) FROM conversation_feedback r JOIN conversation_feedback n"
            " USING (avatar_id, session_id) WHERE r.feedback IN ('good', 'bad') AND n.feedback = 'neutral'"
        ),
        50,
    ),
    ("bad ratings", "SELECT count(*) FROM conversation_feedback WHERE feedback = 'bad'", 10),
    ("feedback without a value", "SELECT count(*) FROM conversation_feedback WHERE feedback IS NULL", 1),
    ("undated feedback", "SELECT count(*) FROM conversation_feedback WHERE created_at IS NULL", 1),
    ("patterns", "SELECT count(*) FROM conversation_patterns", 5),
    ("exchanges", "SELECT count(*) FROM conversations", 100),
    (
        "the first instant of a month",
        "SELECT count(*) FROM conversations WHERE timestamp = date_trunc('month', timestamp)",
        1,
    ),
    (
        "the last instant of a month",
        (
            "SELECT count(*) FROM conversations WHERE timestamp + interval '1 microsecond'"
            " = date_trunc('month', timestamp + interval '1 microsecond')"
        ),
        1,
    ),
    (
        "quiet weekends",
        (
            "SELECT (count(*) FILTER (WHERE extract(isodow FROM timestamp) > 5) / 2.0"
            " < 0.8 * count(*) FILTER (WHERE extract(isodow FROM timestamp) < 6) / 5.0)::int FROM conversations"
        ),
        1,
    ),
    (
        "requests of a key's owner",
        "SELECT count(*) FROM api_request_logs WHERE user_id IS NULL AND api_key_id IS NOT NULL",
        5,
    ),
    (
        "requests of nobody",
        "SELECT count(*) FROM api_request_logs WHERE user_id IS NULL AND api_key_id IS NULL",
        1,
    ),
    ("undated requests", "SELECT count(*) FROM api_request_logs WHERE created_at IS NULL", 1),
    (
        "platform keys",
        (
            "SELECT count(*) FROM platform_api_keys WHERE api_key_hash ~ '^[0-9a-f]{64}$'"
            " AND api_key_prefix ~ '^pk_live_[0-9a-f]{7}[.]{3}$'"
        ),
        10,
    ),
    ("revoked keys", "SELECT count(*) FROM platform_api_keys WHERE status = 'revoked'", 1),
    ("expired keys", "SELECT count(*) FROM platform_api_keys WHERE expires_at < :until", 1),
    (
        "pruned logs",
        (
            "SELECT count(*) FROM platform_api_keys k WHERE request_count >"
            " (SELECT count(*) FROM api_request_logs l WHERE l.api_key_id = k.id) + 20"
        ),
        1,
    ),
    (
        "services in both spellings",
        "SELECT count(DISTINCT service) - 1 FROM user_api_keys WHERE lower(service) = 'openai'",
        1,
    ),
    (
        "provider keys",
        (
            "SELECT count(*) FROM user_api_keys WHERE convert_from(decode(api_key_encrypted, 'base64'), 'UTF8')"
            " LIKE 'demo-%'"
        ),
        10,
    ),
    ("memories", "SELECT count(*) FROM avatar_memories", 20),
    (
        "memories of nobody",
        "SELECT count(*) FROM avatar_memories WHERE user_id NOT IN (SELECT id FROM auth.users)",
        1,
    ),
    ("private memories", "SELECT count(*) FROM avatar_memories WHERE is_private", 3),
    ("favourite memories", "SELECT count(*) FROM avatar_memories WHERE is_favorite", 3),
    (
        "memories without images",
        "SELECT count(*) FROM avatar_memories WHERE id NOT IN (SELECT memory_id FROM memory_images)",
        1,
    ),
    *(
        (
            f"memories with {primaries} primary images",
            (
                "SELECT count(*) FROM (SELECT FROM memory_images GROUP BY memory_id"
                f" HAVING count(*) FILTER (WHERE is_primary) = {primaries}) m"
            ),
            1,
        )
        for primaries in (0, 2)
    ),
    ("second photos", "SELECT count(*) FROM memory_images WHERE NOT is_primary", 3),
    (
        "stored images",
        f"SELECT count(*) FROM generated_images WHERE image_url LIKE '{URL}generated-images/%'",
        50,
    ),
    (
        "images elsewhere",
        "SELECT count(*) FROM generated_images WHERE image_url LIKE 'https://files.kie.example/%'",
        5,
    ),
    ("images in their row", "SELECT count(*) FROM generated_images WHERE left(image_url, 5) = 'data:'", 1),
    ("edited images", "SELECT count(*) FROM generated_images WHERE original_image_url IS NOT NULL", 5),
    ("unpriced images", "SELECT count(*) FROM generated_images WHERE provider = 'kie-flux-kontext'", 1),
    ("galleries", "SELECT count(*) FROM image_collection_items", 3),
    ("speech", "SELECT count(*) FROM tts_generations WHERE length(text) > 20", 50),
    (
        "voice samples written twice",
        (
            "SELECT count(*) FROM voice_samples u JOIN voice_samples c USING (file_url)"
            " WHERE u.status = 'uploaded' AND u.voice_clone_id IS NULL AND c.status = 'completed'"
        ),
        2,
    ),
    ("voice clones", "SELECT count(*) FROM voice_clones", 1),
    ("objects without a size", "SELECT count(*) FROM storage.objects WHERE metadata->>'size' IS NULL", 5),
    ("objects without an owner", "SELECT count(*) FROM storage.objects WHERE owner IS NULL", 50),
    (
        "files stored twice",
        (
            "SELECT count(*) FROM (SELECT FROM storage.objects WHERE metadata ->> 'eTag' IS NOT NULL"
            " GROUP BY metadata ->> 'eTag', metadata ->> 'size' HAVING count(*) > 1) copies"
        ),
        1,
    ),
    (
        "sized objects without a hash",
        (
            "SELECT count(*) FROM storage.objects"
            " WHERE metadata ->> 'eTag' IS NULL AND metadata ->> 'size' IS NOT NULL"
        ),
        3,
    ),
    ("objects with an owner", "SELECT count(*) FROM storage.objects WHERE owner IS NOT NULL", 50),
    (
        "missing objects",
        (
            "SELECT count(*) FROM memory_images i WHERE NOT EXISTS (SELECT FROM storage.objects o"
            " WHERE o.bucket_id = 'avatar-memories' AND o.name = i.image_path)"
        ),
        1,
    ),
    (
        "orphaned objects",
        (
            "SELECT count(*) FROM storage.objects o WHERE bucket_id = 'generated-images' AND NOT EXISTS (SELECT"
            " FROM generated_images i WHERE right(i.image_url, length(o.name)) = o.name"
            " OR right(i.original_image_url, length(o.name)) = o.name)"
        ),
        3,
    ),
    (
        "objects of removed accounts",
        (
            "SELECT count(*) FROM storage.objects WHERE split_part(name, '/', 1) NOT IN ('profiles')"
            " AND split_part(name, '/', 1)::uuid NOT IN (SELECT id FROM auth.users)"
        ),
        5,
    ),
]

PANEL_SHAPES: list[tuple[str, str, int]] = [
    ("administrators", "SELECT count(DISTINCT role) FROM admin_users WHERE is_active", 3),
    ("videos", "SELECT count(DISTINCT status) FROM generated_videos", 3),
    ("priced videos", "SELECT count(*) FROM generated_videos WHERE provider = 'kie-veo3-fast'", 3),
    (
        "videos stored",
        f"SELECT count(*) FROM generated_videos WHERE video_url LIKE '{URL}generated-videos/%.mp4'",
        3,
    ),
    ("flagged avatars", "SELECT count(*) FROM avatars WHERE is_flagged AND flagged_by IS NOT NULL", 1),
    ("moderation", "SELECT count(*) FROM generated_images WHERE moderation_status = 'flagged'", 1),
    ("every tier", "SELECT count(DISTINCT tier_id) FROM user_subscriptions", 4),
    ("every status", "SELECT count(DISTINCT status) FROM user_subscriptions", 5),
    ("every cycle", "SELECT count(DISTINCT billing_cycle) FROM user_subscriptions", 3),
    (
        "paid years",
        (
            "SELECT count(*) FROM user_subscriptions JOIN subscription_tiers t ON t.id = tier_id"
            " WHERE billing_cycle = 'yearly' AND price_yearly > 0"
        ),
        2,
    ),
    (
        "running trials",
        "SELECT count(*) FROM user_subscriptions WHERE status = 'trial' AND trial_ends_at > :until",
        1,
    ),
    (
        "ended trials",
        "SELECT count(*) FROM user_subscriptions WHERE status = 'trial' AND trial_ends_at < :until",
        1,
    ),
    (
        "open trials",
        "SELECT count(*) FROM user_subscriptions WHERE status = 'trial' AND trial_ends_at IS NULL",
        1,
    ),
    ("active trials", "SELECT count(*) FROM user_subscriptions WHERE status = 'active' AND is_trial", 1),
    (
        "paid to the end",
        ("SELECT count(*) FROM user_subscriptions WHERE status = 'cancelled' AND expires_at > :until"),
        1,
    ),
    (
        "cancelled at once",
        ("SELECT count(*) FROM user_subscriptions WHERE status = 'cancelled' AND expires_at IS NULL"),
        1,
    ),
    (
        "active past their end",
        ("SELECT count(*) FROM user_subscriptions WHERE status = 'active' AND expires_at < :until"),
        1,
    ),
    ("suspended", "SELECT count(*) FROM user_subscriptions WHERE status = 'suspended'", 1),
    ("own limits", "SELECT count(*) FROM user_subscriptions WHERE custom_limits IS NOT NULL", 3),
    (
        "several subscriptions",
        (
            "SELECT count(*) FROM (SELECT user_id FROM user_subscriptions WHERE status = 'active'"
            " GROUP BY user_id HAVING count(*) > 1) several"
        ),
        2,
    ),
    (
        "neither tier nor subscription",
        (
            "SELECT count(*) FROM profiles p WHERE subscription_tier_id IS NULL"
            " AND NOT EXISTS (SELECT FROM user_subscriptions s WHERE s.user_id = p.id)"
        ),
        5,
    ),
    ("every account status", "SELECT count(DISTINCT account_status) FROM profiles", 4),
    (
        "deleted without a date",
        (
            "SELECT count(*) FROM profiles JOIN auth.users USING (id)"
            " WHERE account_status = 'deleted' AND deleted_at IS NULL"
        ),
        1,
    ),
    (
        "bans with a reason",
        (
            "SELECT count(*) FROM profiles WHERE banned_reason > '' AND banned_by IS NOT NULL"
            " AND banned_at < :until"
        ),
        1,
    ),
    ("the panel's usage rows", "SELECT count(*) FROM monthly_usage WHERE avatars_created > 0", 5),
    ("one month of them", "SELECT 2 - count(DISTINCT usage_month) FROM monthly_usage", 1),
    ("upgrade requests", "SELECT count(DISTINCT status) FROM tier_upgrade_requests", 4),
]

UID = "[0-9a-f-]{36}"
KEYS = [
    ("avatars", f"^(profiles/{UID}-[0-9]+|{UID}/(avatars/|avatar-|)[0-9]+-[0-9a-z]+)"),
    ("knowledge-base", f"^{UID}/({UID}/)?[0-9]+-"),
    ("training-files", f"^{UID}/({UID}/)?[0-9]+-"),
    ("avatar-memories", f"^{UID}/({UID}/)?[0-9]+-[0-9a-z]+"),
    ("generated-images", f"^{UID}/((input_)?{UID}(_original_[0-9]+)?_[0-9]+[.]png|[0-9]+-[0-9a-z]+)$"),
    ("voice-samples", f"^{UID}/([0-9]+_.+|{UID}_[0-9]+[.]mp3)$"),
]
