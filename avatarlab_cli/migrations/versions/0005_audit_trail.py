"""The audit log becomes append-only: an entry may be marked as undone, once, and nothing else."""

from avatarlab_cli.migrations import ops

revision = "0005"
down_revision = "0004"

# *= compares every byte, where = would let 1.0 become 1.00 inside of changes.
REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION avatarlab_admin.refuse_audit_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unmarked public.admin_audit_logs;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        unmarked := NEW;
        unmarked.undone_by := NULL;
        IF NEW.undone_by IS NOT NULL AND unmarked *= OLD THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'admin_audit_logs is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""


def upgrade() -> None:
    """Refuse UPDATE, DELETE and TRUNCATE of audit entries, whoever asks."""
    ops.run(
        REFUSE_CHANGE,
        """
        CREATE OR REPLACE TRIGGER avatarlab_append_only BEFORE UPDATE OR DELETE ON public.admin_audit_logs
        FOR EACH ROW EXECUTE FUNCTION avatarlab_admin.refuse_audit_change()
        """,
        """
        CREATE OR REPLACE TRIGGER avatarlab_keep_all BEFORE TRUNCATE ON public.admin_audit_logs
        FOR EACH STATEMENT EXECUTE FUNCTION avatarlab_admin.refuse_audit_change()
        """,
    )
