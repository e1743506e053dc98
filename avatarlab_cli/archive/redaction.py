"""What never leaves the database in an archive: secrets, embeddings, and images written out as text."""

import re

# Named one by one, whatever the rule below makes of them.
DENIED = frozenset(
    {
        "public.admin_users.backup_codes",
        "public.admin_users.two_factor_secret",
        "public.document_chunks.embedding",
        "public.knowledge_chunks.embedding_vector",
        "public.n8n_integrations.n8n_api_key",
        "public.platform_api_keys.api_key_hash",
        "public.rag_search_logs.query_embedding",
        "public.user_api_keys.api_key_encrypted",
        "public.user_sessions.token_hash",
    }
)
# Read like secrets and are none: references, the part of a key that is shown, counts.
ALLOWED = frozenset(
    {
        "api_key_id",
        "api_key_prefix",
        "completion_tokens",
        "file_hash",
        "hashtag",
        "hashtags",
        "inference_input_tokens",
        "inference_output_tokens",
        "input_tokens",
        "max_tokens",
        "output_tokens",
        "prompt_tokens",
        "response_tokens",
        "token_count",
        "total_tokens",
        "total_tokens_trained",
        "trained_tokens",
    }
)
# Supabase keeps passwords and tokens beside the account: of its schema only this is taken.
AUTH = {
    "auth.users": frozenset(
        {
            "id",
            "email",
            "phone",
            "role",
            "created_at",
            "updated_at",
            "invited_at",
            "confirmed_at",
            "email_confirmed_at",
            "phone_confirmed_at",
            "last_sign_in_at",
            "banned_until",
            "deleted_at",
            "is_anonymous",
            "is_sso_user",
            "raw_app_meta_data",
            "raw_user_meta_data",
        }
    ),
    "auth.sessions": frozenset(
        {
            "id",
            "user_id",
            "created_at",
            "updated_at",
            "not_after",
            "refreshed_at",
            "aal",
            "ip",
            "user_agent",
        }
    ),
    "auth.identities": frozenset(
        {
            "id",
            "user_id",
            "provider",
            "email",
            "identity_data",
            "created_at",
            "updated_at",
            "last_sign_in_at",
        }
    ),
}
_SECRET = re.compile(
    "hash|token|secret|passw|pwd|encrypted|api_?key|private_?key|backup_?code|credential|authorization|cookie|embedding",
    re.IGNORECASE,
)
_OPAQUE_TYPES = ("bytea", "vector", "halfvec", "sparsevec", "tsvector")
LONGEST_HEAD = 100
# How a text begins that is an image or another file written out; PostgreSQL and Python read it the same way.
DATA_URI = "^data:[a-z]+/[a-z0-9.+-]+[;,]"
_DATA_URI = re.compile(DATA_URI)
_INNER_DATA_URI = re.compile(r"(data:[a-z]+/[a-z0-9.+-]+[^,\s\"]{0,80}),[\w+/=%.~-]{64,}")
LEFT_OUT = "(left out)"


def is_taken(table: str, column: str, kind: str) -> bool:
    """Tell whether a column of this type goes into an archive; `table` is named with its schema."""
    if table in AUTH:
        return column in AUTH[table]
    return not (
        f"{table}.{column}" in DENIED
        or _is_secret(column)
        or kind.rpartition(".")[2].startswith(_OPAQUE_TYPES)
    )


def redacted(value: object) -> object:
    """Return a value read from JSON without what is named as a secret in it, and with image texts cut."""
    if isinstance(value, dict):
        return {name: redacted(inner) for name, inner in value.items() if not _is_secret(name)}
    if isinstance(value, list):
        return [redacted(inner) for inner in value]
    if isinstance(value, str):
        if _DATA_URI.match(value):
            return f"{value[:LONGEST_HEAD].partition(',')[0]},{LEFT_OUT}"
        return _INNER_DATA_URI.sub(rf"\1,{LEFT_OUT}", value)
    return value


def _is_secret(name: str) -> bool:
    return name.lower() not in ALLOWED and _SECRET.search(name) is not None
