"""The six tables of administration, created or taken over as the web panel's deployment leaves them."""

from avatarlab_cli.migrations import ops
from avatarlab_cli.schema import panel

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create what the web panel would have created, where it is missing."""
    for table in panel.metadata.tables.values():
        ops.adopt(table)
        if "updated_at" in table.columns:
            keep_updated_at(table.name)


def keep_updated_at(table: str) -> None:
    """Attach the platform's own function, where it exists, as on the platform's other tables."""
    function = "to_regprocedure('public.update_updated_at_column()')"
    ops.run_if(
        f"{function} IS NOT NULL AND NOT EXISTS (SELECT FROM pg_trigger"
        f" WHERE tgrelid = 'public.{table}'::regclass AND tgfoid = {function})",
        f"CREATE TRIGGER update_{table}_updated_at BEFORE UPDATE ON public.{table}"
        " FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column()",
    )
