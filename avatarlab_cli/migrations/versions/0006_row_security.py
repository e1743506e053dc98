"""Who may reach the tables over HTTP: signed-in users read active tiers and their own rows, nobody writes."""

from collections.abc import Iterable

from avatarlab_cli.migrations import ops

revision = "0006"
down_revision = "0005"

TABLES = (
    "subscription_tiers",
    "user_subscriptions",
    "monthly_usage",
    "admin_users",
    "admin_audit_logs",
    "platform_statistics",
)
OWN_ROW = "user_id = (SELECT auth.uid())"
READABLE = {
    "subscription_tiers": ("avatarlab_active_tiers", "is_active AND archived_at IS NULL"),
    "user_subscriptions": ("avatarlab_own_subscriptions", OWN_ROW),
    "monthly_usage": ("avatarlab_own_usage", OWN_ROW),
    "admin_users": ("avatarlab_own_admin", OWN_ROW),
}
# All but two_factor_secret, backup_codes and db_role.
ADMIN_COLUMNS = (
    "id, user_id, role, permissions, two_factor_enabled, is_active, last_login_at, failed_login_attempts,"
    " locked_until, created_at, updated_at, created_by, default_dashboard, is_service"
)
HTTP_ROLES = ("anon", "authenticated")

DROP_POLICIES = """
DO $$
DECLARE
    found record;
    statement text;
BEGIN
    FOR found IN
        SELECT * FROM pg_policies
        WHERE schemaname = 'public' AND tablename IN ({tables}) AND policyname NOT IN ({own})
        ORDER BY tablename, policyname
    LOOP
        statement := format(
            'CREATE POLICY %I ON %I.%I AS %s FOR %s TO %s',
            found.policyname, found.schemaname, found.tablename, found.permissive, found.cmd,
            (SELECT string_agg(quote_ident(role), ', ') FROM unnest(found.roles) AS role)
        ) || coalesce(' USING (' || found.qual || ')', '') || coalesce(' WITH CHECK (' || found.with_check || ')', '');
        INSERT INTO avatarlab_admin.dropped_policy
            (schema_name, table_name, policy_name, command, roles, using_condition, check_condition, statement)
        VALUES (found.schemaname, found.tablename, found.policyname, found.cmd, found.roles, found.qual,
            found.with_check, statement);
        EXECUTE format('DROP POLICY %I ON %I.%I', found.policyname, found.schemaname, found.tablename);
    END LOOP;
END $$
"""

# The identity column's sequence belongs to public, where Supabase grants every new sequence to everyone.
REVOKE_SEQUENCE = "EXECUTE format('REVOKE ALL ON SEQUENCE %s FROM {role}', pg_get_serial_sequence('public.admin_audit_logs', 'seq'))"


def upgrade() -> None:
    """Enable row security, keep and drop foreign policies, take all grants back, and give the few that remain."""
    ops.run(*(f"ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY" for table in TABLES))
    own = [policy for policy, _ in READABLE.values()]
    ops.run(DROP_POLICIES.format(tables=_literals(TABLES), own=_literals(own)))
    for role in ("PUBLIC", *HTTP_ROLES):
        _shut_out(role)
    for table, (policy, condition) in READABLE.items():
        _let_read(table, policy, condition)
    ops.run_if(_exists("service_role"), f"GRANT ALL ON {_public_tables()} TO service_role")


def _shut_out(role: str) -> None:
    statements = [
        f"REVOKE ALL ON {_public_tables()} FROM {role}",
        f"REVOKE ALL ON SCHEMA avatarlab_admin FROM {role}",
    ]
    for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        statements += [
            f"REVOKE ALL ON ALL {kind} IN SCHEMA avatarlab_admin FROM {role}",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA avatarlab_admin REVOKE ALL ON {kind} FROM {role}",
        ]
    statements.append(REVOKE_SEQUENCE.format(role=role))
    ops.run_if("TRUE" if role == "PUBLIC" else _exists(role), *statements)


def _let_read(table: str, policy: str, condition: str) -> None:
    columns = f" ({ADMIN_COLUMNS})" if table == "admin_users" else ""
    can_tell_user = "to_regprocedure('auth.uid()') IS NOT NULL"
    ops.run_if(
        f"{_exists('authenticated')} AND {can_tell_user}",
        f"DROP POLICY IF EXISTS {policy} ON public.{table}",
        f"CREATE POLICY {policy} ON public.{table} FOR SELECT TO authenticated USING ({condition})",
        f"GRANT SELECT{columns} ON public.{table} TO authenticated",
    )


def _exists(role: str) -> str:
    return f"to_regrole('{role}') IS NOT NULL"


def _public_tables() -> str:
    return ", ".join(f"public.{table}" for table in TABLES)


def _literals(names: Iterable[str]) -> str:
    return ", ".join(map(ops.literal, names))
