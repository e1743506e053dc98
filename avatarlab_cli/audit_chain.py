"""Whether the audit log is whole: every entry's hash, the links between them, the head, and what was undone."""

import re
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from avatarlab_cli.errors import UsageError
from avatarlab_cli.report import Column, Kind
from avatarlab_cli.schema.live import demand_all_rows

VERDICT = (
    Column("entries", Kind.INTEGER, "how many entries there are"),
    Column("head", Kind.TEXT, "number and hash of the last entry, as the chain's head has them", null="-"),
    Column("seq", Kind.INTEGER, "the entry the first break is at", null="-"),
    Column("id", Kind.ID, "its id", null="-"),
    Column("problem", Kind.TEXT, "what is wrong with it", null="none"),
)
_ANCHOR = re.compile(r"(\d{1,18}):([0-9a-f]{64})")
# The database's own audit_hash is not asked: whoever can rewrite the log can rewrite that function as well.
_DIGEST = """
    encode(sha256(convert_to(coalesce(prev_hash, '') || E'\\n' || jsonb_build_array(
        seq, id, admin_user_id, action, resource_type, resource_id, description, changes, ip_address, user_agent,
        justification, severity, created_at, batch_id, actor_host, actor_os_user
    )::text, 'UTF8')), 'hex')
"""
# The entries from before the chain have no hash; what the chain began with is a hash over all of them.
_WALK = sa.text(f"""
    WITH entries AS MATERIALIZED (
        SELECT seq, id, prev_hash, hash, undone_by, changes ->> 'undoes' AS undoes, {_DIGEST} AS digest
        FROM public.admin_audit_logs
    ), begun AS (
        SELECT min(seq) AS seq FROM entries WHERE hash IS NOT NULL
    ), opening AS (
        SELECT coalesce(max(e.seq), 0) AS seq,
               encode(sha256(convert_to(coalesce(string_agg(e.digest, '' ORDER BY e.seq), ''), 'UTF8')), 'hex') AS hash
        FROM entries e, begun WHERE begun.seq IS NULL OR e.seq < begun.seq
    ), links AS (
        SELECT e.*, lag(e.seq, 1, opening.seq) OVER (ORDER BY e.seq) AS former_seq,
               lag(e.hash, 1, opening.hash) OVER (ORDER BY e.seq) AS former_hash, opening.seq AS opening_seq
        FROM entries e, begun, opening WHERE e.seq >= begun.seq
    ), ending AS (
        SELECT seq, id, hash FROM links UNION ALL SELECT seq, NULL, hash FROM opening ORDER BY seq DESC LIMIT 1
    ), head AS (
        SELECT max(seq) AS seq, max(hash) AS hash FROM avatarlab_admin.audit_head
    ), breaks AS (
        SELECT 1 AS place, seq, id, CASE
            WHEN hash IS NULL THEN 'it has no hash: it was not written through the chain'
            WHEN seq <> former_seq + 1 THEN format('the entries from %s to %s are missing before it', former_seq + 1, seq - 1)
            WHEN prev_hash IS DISTINCT FROM former_hash AND former_seq = opening_seq
                THEN 'its prev_hash is not that of the entries from before the chain: one of them was changed, added or removed'
            WHEN prev_hash IS DISTINCT FROM former_hash THEN format('its prev_hash is not the hash of entry %s', former_seq)
            WHEN hash <> digest THEN 'its contents are not what its hash was made of'
        END AS problem
        FROM links
        UNION ALL
        SELECT 2, e.seq, e.id, format('it is marked as undone by %s, and the entry that says it undoes it is %s',
                                      coalesce(e.undone_by::text, 'none'), coalesce(u.id::text, 'none'))
        FROM entries e LEFT JOIN entries u ON u.undoes = e.id::text
        WHERE e.undone_by IS DISTINCT FROM u.id
        UNION ALL
        SELECT 3, ending.seq, ending.id, CASE
            WHEN head.seq IS NULL THEN 'it is the last entry, but the head of the chain is missing'
            WHEN head.seq > ending.seq THEN format('the entries from %s to %s are missing after it', ending.seq + 1, head.seq)
            WHEN ending.id IS NULL THEN 'the entries from before the chain are not what the chain began with'
            ELSE format('it is the last entry, but the head of the chain is %s:%s', head.seq, head.hash)
        END
        FROM ending, head WHERE (head.seq, head.hash) IS DISTINCT FROM (ending.seq, ending.hash)
        UNION ALL
        SELECT 4, CAST(:anchor_seq AS bigint), (SELECT id FROM entries WHERE seq = :anchor_seq),
               'the noted head is not in the chain: the log was rewritten, or is another one'
        FROM head
        WHERE :anchor_hash <> '' AND (head.seq, head.hash) IS DISTINCT FROM (CAST(:anchor_seq AS bigint), CAST(:anchor_hash AS text))
          AND NOT EXISTS (SELECT FROM entries WHERE seq = :anchor_seq + 1 AND prev_hash = :anchor_hash)
    )
    SELECT (SELECT count(*) FROM entries) AS entries, head.seq AS head_seq, head.hash AS head_hash,
           first.seq, first.id, first.problem
    FROM head LEFT JOIN (SELECT * FROM breaks WHERE problem IS NOT NULL ORDER BY seq, place LIMIT 1) AS first ON true
""")


@dataclass(frozen=True)
class Anchor:
    """A head of the chain as it was noted elsewhere: an entry's number and hash."""

    seq: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> "Anchor":
        """Read what `audit verify` printed as the head; raises UsageError."""
        match = _ANCHOR.fullmatch(text.strip().lower())
        if match is None:
            raise UsageError(
                f"{text!r} is not a head of the chain",
                hint="write SEQ:HASH as `avatarlab audit verify` printed it",
            )
        return cls(int(match[1]), match[2])


@dataclass(frozen=True)
class Verdict:
    """What the walk found: how many entries there are, the head, and the first break, if any.

    `seq` and `id` name the entry the break is at; `id` is None where no entry has that number.
    """

    entries: int
    head: str | None
    seq: int | None
    id: UUID | None
    problem: str | None


def verify(connection: sa.Connection, anchor: Anchor | None = None) -> Verdict:
    """Walk the whole chain, and find a noted `anchor` in it.

    The session's time zone must be UTC. Raises NotPermittedError where row security hides entries.
    """
    demand_all_rows(connection, ["public.admin_audit_logs"])
    noted = anchor or Anchor(0, "")
    row = connection.execute(_WALK, {"anchor_seq": noted.seq, "anchor_hash": noted.hash}).one()
    head = None if row.head_seq is None else f"{row.head_seq}:{row.head_hash}"
    return Verdict(row.entries, head, row.seq, row.id, row.problem)
