"""Default tiers where there is none, and a history of what each tier has cost."""

import json
from importlib.resources import files
from typing import Any

import yaml

from avatarlab_cli.errors import ConfigurationError
from avatarlab_cli.migrations import ops

revision = "0004"
down_revision = "0003"

COLUMNS = {
    "name": "text",
    "display_name": "text",
    "description": "text",
    "price_monthly": "numeric",
    "price_yearly": "numeric",
    "trial_days": "integer",
    "max_avatars": "integer",
    "limits": "jsonb",
    "sort_order": "integer",
}

# The clock, not the transaction's start: of two transactions that change one tier the later change must win.
RECORD_PRICE = """
CREATE OR REPLACE FUNCTION avatarlab_admin.record_tier_price() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR (NEW.price_monthly, NEW.price_yearly) <> (OLD.price_monthly, OLD.price_yearly) THEN
        INSERT INTO avatarlab_admin.tier_price_history (tier_id, valid_from, price_monthly, price_yearly)
        VALUES (NEW.id, clock_timestamp(), NEW.price_monthly, NEW.price_yearly)
        ON CONFLICT (tier_id, valid_from) DO UPDATE
        SET price_monthly = EXCLUDED.price_monthly, price_yearly = EXCLUDED.price_yearly;
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    """Insert the tiers of config/tiers.yaml into an empty table; from here on keep each price."""
    ops.run(
        _insert_tiers(),
        """
        INSERT INTO avatarlab_admin.tier_price_history (tier_id, valid_from, price_monthly, price_yearly)
        SELECT id, '-infinity', price_monthly, price_yearly FROM public.subscription_tiers AS tier
        WHERE NOT EXISTS (SELECT FROM avatarlab_admin.tier_price_history AS known WHERE known.tier_id = tier.id)
        """,
        RECORD_PRICE,
        """
        CREATE OR REPLACE TRIGGER avatarlab_record_price
        AFTER INSERT OR UPDATE OF price_monthly, price_yearly ON public.subscription_tiers
        FOR EACH ROW EXECUTE FUNCTION avatarlab_admin.record_tier_price()
        """,
    )


def _insert_tiers() -> str:
    names = ", ".join(COLUMNS)
    types = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    rows = ops.literal(json.dumps(_default_tiers(), ensure_ascii=False))
    return f"""
        INSERT INTO public.subscription_tiers ({names})
        SELECT {names} FROM jsonb_to_recordset({rows}) AS tier ({types})
        WHERE NOT EXISTS (SELECT FROM public.subscription_tiers)
        ORDER BY sort_order
        """


def _default_tiers() -> list[dict[str, Any]]:
    text = files("config").joinpath("tiers.yaml").read_text(encoding="utf-8")
    tiers: list[dict[str, Any]] = yaml.safe_load(text)
    for tier in tiers:
        if set(tier) != set(COLUMNS):
            raise ConfigurationError(
                f"config/tiers.yaml: tier {tier.get('name')} must have exactly: {', '.join(COLUMNS)}"
            )
    return tiers
