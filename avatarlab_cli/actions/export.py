"""Handing out personal data: nothing changes, but that it was done is kept."""

import json
from dataclasses import dataclass, field

from avatarlab_cli.actions.act import Act, Run, Touched
from avatarlab_cli.queries.naming import USER


@dataclass(frozen=True)
class Export(Act):
    """Record that an archive of a user's data was made: the rows of each table, and the manifest's SHA-256."""

    name = "user.export"
    naming = USER
    severity = "warning"
    undoable = False
    plannable = False
    rows: dict[str, int] = field(default_factory=dict)
    manifest_sha256: str = ""

    def describe(self) -> str:
        return f"exported {sum(self.rows.values())} rows of {len(self.rows)} tables"

    def touched(self, run: Run) -> tuple[Touched, ...]:
        return ()

    def apply(self, run: Run) -> None:
        facts = {"exported": self.rows, "manifest_sha256": self.manifest_sha256}
        run.execute("UPDATE targets SET facts = CAST(:facts AS jsonb)", facts=json.dumps(facts))
