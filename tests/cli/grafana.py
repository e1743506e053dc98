"""The dashboard's queries as Grafana sends them: with its macros written out."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

MONITORING = Path(__file__).parents[2] / "config" / "monitoring"
DASHBOARD: Mapping[str, Any] = json.loads((MONITORING / "grafana.json").read_text("utf-8"))
POSTGRES, PROMETHEUS = "grafana-postgresql-datasource", "prometheus"


def panels(kind: str) -> Iterator[tuple[str, Any, str]]:
    """Yield title and panel of each panel of this kind of datasource, and the text of each of its queries."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            if target["datasource"]["type"] == kind:
                yield panel["title"], panel, target["rawSql" if kind == POSTGRES else "expr"]


def written_out(statement: str, begin: datetime, end: datetime) -> str:
    """Replace the macros of Grafana's PostgreSQL datasource; raises ValueError for one that is not known here."""
    from_, to = (f"'{moment:%Y-%m-%dT%H:%M:%S.%fZ}'" for moment in (begin, end))
    statement = re.sub(r"\$__timeFilter\(([^()]*)\)", rf"\1 BETWEEN {from_} AND {to}", statement)
    statement = statement.replace("$__timeFrom()", from_).replace("$__timeTo()", to)
    if "$" in statement:
        raise ValueError(statement)
    return statement
