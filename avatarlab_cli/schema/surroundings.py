"""What Supabase and the platform's own scripts put around the tables: roles, grants, triggers, policies."""

from collections.abc import Iterable, Iterator

import sqlalchemy as sa

ROLES = {"anon": "NOLOGIN", "authenticated": "NOLOGIN", "service_role": "NOLOGIN BYPASSRLS"}

BUCKETS = (
    "avatars",
    "knowledge-base",
    "training-files",
    "avatar-memories",
    "generated-images",
    "generated-videos",
    "voice-samples",
)

# Roles belong to the whole server: two databases built at once both find one missing, and the second to
# create it fails on the name or on the catalogue's unique index.
_CREATE_ROLE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} {attributes};
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $$
"""

_AUTH_UID = """
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
    )::uuid
$$
"""

# Like the platform's own, the SECURITY DEFINER functions have no fixed search_path: a check must find that.
_NEW_USER = """
CREATE FUNCTION public.handle_new_user() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.profiles (id, email, name)
    VALUES (NEW.id, NEW.email, coalesce(NEW.raw_user_meta_data ->> 'name', NEW.raw_user_meta_data ->> 'full_name'))
    ON CONFLICT DO NOTHING;
    RETURN NEW;
END $$
"""

_SIGN_IN = """
CREATE FUNCTION public.handle_user_sign_in() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE public.profiles SET last_login = NEW.last_sign_in_at WHERE id = NEW.id;
    RETURN NEW;
END $$
"""

_TOUCH = """
CREATE FUNCTION public.update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END $$
"""


def create_role(role: str, attributes: str) -> str:
    """Write the statement that creates a role of the whole server unless it exists or is just being created."""
    return _CREATE_ROLE.format(role=role, attributes=attributes)


def before_tables() -> Iterator[str]:
    """Yield what the tables stand on: roles, schemas, and the grants every later table of `public` inherits."""
    everyone = ", ".join(ROLES)
    for role, attributes in ROLES.items():
        yield create_role(role, attributes)
    for schema in ("auth", "storage"):
        yield f"CREATE SCHEMA {schema}"
    for schema in ("public", "auth", "storage"):
        yield f"GRANT USAGE ON SCHEMA {schema} TO {everyone}"
    for schema in ("public", "storage"):
        for kind in ("TABLES", "FUNCTIONS", "SEQUENCES"):
            yield f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT ALL ON {kind} TO {everyone}"
    yield _AUTH_UID


def after_tables(tables: Iterable[sa.Table]) -> Iterator[str]:
    """Yield row security with its policies, and the triggers of `public`, for the tables that were made."""
    yield _TOUCH
    for table in tables:
        yield from _row_security(table)
        if table.schema is None and "updated_at" in table.columns:
            yield (
                f"CREATE TRIGGER update_{table.name}_updated_at BEFORE UPDATE ON {table.fullname} "
                "FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column()"
            )
    yield _NEW_USER
    yield (
        "CREATE TRIGGER on_auth_user_created AFTER INSERT ON auth.users "
        "FOR EACH ROW EXECUTE FUNCTION public.handle_new_user()"
    )


def panel_additions(policies: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield what the web panel's migrations add beside their tables and columns."""
    yield _SIGN_IN
    yield (
        "CREATE TRIGGER on_auth_user_sign_in AFTER UPDATE OF last_sign_in_at ON auth.users "
        "FOR EACH ROW EXECUTE FUNCTION public.handle_user_sign_in()"
    )
    for number, (table, clause) in enumerate(policies, start=1):
        yield f'CREATE POLICY "panel {number}" ON {table} {clause}'


def _row_security(table: sa.Table) -> Iterator[str]:
    if table.info.get("rls", True):
        yield f"ALTER TABLE {table.fullname} ENABLE ROW LEVEL SECURITY"
    if policy := table.info.get("policy"):
        yield f'CREATE POLICY "own rows" ON {table.fullname} USING ({policy})'
