"""Every audit entry carries a hash of itself and of the one before, so that none can be altered or left out unseen."""

import sqlalchemy as sa

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema.base import NAMING_CONVENTION, check

revision = "0007"
down_revision = "0006"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION, schema="avatarlab_admin")

# The zone is fixed because times become text here. `undone_by` is left out: it is written later, once.
AUDIT_HASH = """
CREATE OR REPLACE FUNCTION avatarlab_admin.audit_hash(previous text, entry public.admin_audit_logs) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
    SELECT encode(sha256(convert_to(previous || E'\\n' || jsonb_build_array(
        entry.seq, entry.id, entry.admin_user_id, entry.action, entry.resource_type, entry.resource_id,
        entry.description, entry.changes, entry.ip_address, entry.user_agent, entry.justification, entry.severity,
        entry.created_at, entry.batch_id, entry.actor_host, entry.actor_os_user
    )::text, 'UTF8')), 'hex')
$$
"""

# The head's row lock makes entries queue up until the writer before has committed; so the numbers have no gap.
CHAIN_ENTRY = """
CREATE OR REPLACE FUNCTION avatarlab_admin.chain_audit_entry() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head avatarlab_admin.audit_head;
BEGIN
    SELECT * INTO STRICT head FROM avatarlab_admin.audit_head FOR UPDATE;
    NEW.seq := head.seq + 1;
    NEW.prev_hash := head.hash;
    NEW.undone_by := NULL;
    NEW.hash := avatarlab_admin.audit_hash(head.hash, NEW);
    UPDATE avatarlab_admin.audit_head SET seq = NEW.seq, hash = NEW.hash;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Begin the chain with a hash of the entries that are there already; from here on chain each new one.

    Where only the head was lost, it is the last entry again.
    """
    ops.adopt(_audit_head())
    ops.run(
        # An entry written between the count and the trigger would belong to neither side.
        "LOCK TABLE public.admin_audit_logs IN SHARE ROW EXCLUSIVE MODE",
        AUDIT_HASH,
        """
        INSERT INTO avatarlab_admin.audit_head (seq, hash)
        SELECT coalesce(max(seq), 0), coalesce((array_agg(hash ORDER BY seq DESC))[1], encode(sha256(convert_to(
            coalesce(string_agg(avatarlab_admin.audit_hash('', entry), '' ORDER BY seq), ''), 'UTF8')), 'hex'))
        FROM public.admin_audit_logs AS entry
        ON CONFLICT DO NOTHING
        """,
        CHAIN_ENTRY,
        """
        CREATE OR REPLACE TRIGGER avatarlab_chain BEFORE INSERT ON public.admin_audit_logs
        FOR EACH ROW EXECUTE FUNCTION avatarlab_admin.chain_audit_entry()
        """,
        "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA avatarlab_admin FROM PUBLIC",
    )


def _audit_head() -> sa.Table:
    return sa.Table(
        "audit_head",
        metadata,
        sa.Column(
            "is_head", sa.Boolean, check("is_head", "is_head"), primary_key=True, server_default=sa.true()
        ),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
