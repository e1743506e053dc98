"""The reports on training, recounted row by row."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from tests.database.watching import NOW, SPAN, Tables, in_time
from tests.reference.rates import INPUT, OUTPUT, TRAINED, UNIT_SIZE, Rate, match, rounded
from tests.reference.source import Row, day_of
from tests.reference.voice import BEFORE, decimal, grouped, least, most, seconds, total

SUCCEEDED = {"session": "completed", "fine-tune": "succeeded"}


def mean(values: Sequence[Any]) -> Decimal | None:
    """Return the average of what is known, to three decimals."""
    known = [Fraction(value) for value in values if value is not None]
    return rounded(sum(known, Fraction(0)) / len(known), 3) if known else None


def ratio(good: int, bad: int) -> Decimal | None:
    """Return the share of the good ones."""
    return rounded(Fraction(good, good + bad), 6) if good + bad else None


def labels(tables: Tables, row: Row) -> Row:
    """Return whose a row is."""
    return {**whose(tables, "user", row["user_id"]), **whose(tables, "avatar", row["avatar_id"])}


def whose(tables: Tables, by: str, key: object) -> Row:
    """Return the columns that tell a user or an avatar."""
    if by == "user":
        return {"user_id": key, "email": tables.emails()[key]}
    names = {avatar["id"]: avatar["name"] for avatar in tables["avatars"]}
    return {"avatar_id": key, "avatar": "(no avatar)" if key is None else names[key]}


def charged(job: Row, card: Sequence[Rate]) -> tuple[Fraction | None, int | None]:
    """Return what a job cost, and its tokens without a rate; both None where no tokens are told."""
    tokens = job["trained_tokens"]
    if tokens is None:
        return None, None
    if not tokens or job["finished_at"] is None:
        return (None if tokens else Fraction(0)), 0
    _, price = match(card, "fine_tuning", TRAINED, [job["base_model"]], day_of(job["finished_at"]))
    if price is None:
        return None, tokens
    return Fraction(price) * tokens / UNIT_SIZE[TRAINED], 0


def trainings(tables: Tables, card: Sequence[Rate]) -> Iterator[Row]:
    """Yield every session and job of the time."""
    for row in in_time(tables["avatar_training_data"], "created_at"):
        yield {
            "id": row["id"],
            "kind": "session",
            "type": row["training_type"],
            "avatar_id": row["avatar_id"],
            "user_id": row["user_id"],
            "status": row["status"],
            "model": None,
            "duration_seconds": seconds(row["created_at"], row["completed_at"]),
            "tokens": None,
            "cost": None,
            "unpriced": None,
            "created_at": row["created_at"],
        }
    for row in in_time(tables["avatar_fine_tune_jobs"], "created_at"):
        cost, unpriced = charged(row, card)
        yield {
            "id": row["id"],
            "kind": "fine-tune",
            "type": "fine-tune",
            "avatar_id": row["avatar_id"],
            "user_id": row["user_id"],
            "status": row["status"],
            "model": row["base_model"],
            "duration_seconds": seconds(row["started_at"], row["finished_at"]),
            "tokens": row["trained_tokens"],
            "cost": cost,
            "unpriced": unpriced,
            "created_at": row["created_at"],
        }


def jobs(tables: Tables, card: Sequence[Rate], status: str | None = None) -> Iterator[Row]:
    """Recount each training."""
    for row in trainings(tables, card):
        if status in {None, row["status"]}:
            yield {**row, **labels(tables, row), "cost": decimal(row["cost"])}


def jobs_by(tables: Tables, card: Sequence[Rate], by: str) -> Iterator[Row]:
    """Recount how trainings ended."""
    key = f"{by}_id" if by in {"user", "avatar"} else by
    for (kind, value), rows in grouped(trainings(tables, card), "kind", key).items():
        good = sum(row["status"] == SUCCEEDED[kind] for row in rows)
        bad = sum(row["status"] == "failed" for row in rows)
        yield {
            "kind": kind,
            **(whose(tables, by, value) if key != by else {by: value}),
            "jobs": len(rows),
            "succeeded": good,
            "failed": bad,
            "success_rate": ratio(good, bad),
            "average_seconds": mean([row["duration_seconds"] for row in rows]),
            "tokens": total(row["tokens"] for row in rows),
            "cost": decimal(total(row["cost"] for row in rows)),
            "unpriced": total(row["unpriced"] for row in rows),
        }


_ID = r"(?<!\w)(?:ftjob|file|org|req|run)[-_]([0-9a-z]{6,})"


def _named(found: re.Match[str]) -> str:
    return "<id>" if any(sign.isdigit() for sign in found[1]) else found[0]


def alike(text: str) -> str:
    """Return a message without what differs from case to case."""
    line = text.strip(" \n\r\t").split("\n", maxsplit=1)[0][:300]
    line = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>", line, flags=re.IGNORECASE)
    line = re.sub(_ID, _named, line, flags=re.IGNORECASE | re.ASCII)
    return re.sub(r"[0-9]+", "<n>", line)


def _failures(tables: Tables) -> Iterator[Row]:
    for row in tables["avatar_training_logs"]:
        if row["log_type"] == "error":
            details = row["details"] if isinstance(row["details"], dict) else {}
            told = details.get("error")
            text = row["message"] if told in {None, ""} else str(told)
            yield {"source": "log", "text": text, "user": row["user_id"], "at": row["created_at"]}
    for row in tables["avatar_fine_tune_jobs"]:
        if row["error_message"]:
            at = row["finished_at"] or row["created_at"]
            yield {"source": "fine-tune", "text": row["error_message"], "user": row["user_id"], "at": at}
    for row in tables["avatar_training_data"]:
        if row["fine_tune_error"]:
            at = row["completed_at"] or row["created_at"]
            yield {"source": "session", "text": row["fine_tune_error"], "user": row["user_id"], "at": at}


def errors(tables: Tables) -> Iterator[Row]:
    """Recount the messages of the time."""
    rows = [{**row, "message": alike(row["text"])} for row in in_time(_failures(tables), "at")]
    for (source, message), each in grouped(rows, "source", "message").items():
        yield {
            "source": source,
            "message": message,
            "occurrences": len(each),
            "users": len({row["user"] for row in each}),
            "first_seen": least(row["at"] for row in each),
            "last_seen": most(row["at"] for row in each),
        }


def run_of(tables: Tables) -> UUID:
    """Return the session with the most entries."""
    return _commonest(tables["avatar_training_logs"], "training_data_id")


def _commonest(rows: Sequence[Row], column: str) -> UUID:
    """Return the id that most rows have; the column may be missing."""
    counts = Counter(row[column] for row in rows if column in row)
    return max(counts, key=lambda value: (counts[value], value), default=UUID(int=0))


def logs(tables: Tables) -> Iterator[Row]:
    """Recount the log of that session."""
    names = {
        "id": "id",
        "created_at": "created_at",
        "type": "log_type",
        "step": "processing_step",
        "progress": "progress_percentage",
        "message": "message",
    }
    for row in tables["avatar_training_logs"]:
        if row["training_data_id"] == run_of(tables):
            error = row["details"].get("error") if isinstance(row["details"], dict) else None
            yield {
                **{name: row[column] for name, column in names.items()},
                "error": None if error is None else str(error),
            }


def _first_of_file(tables: Tables) -> set[object]:
    """Return the uploads that are the first to name their file."""
    paths = grouped(tables["avatar_training_files"], "file_path")
    return {min(rows, key=lambda row: (row["uploaded_at"], row["id"]))["id"] for rows in paths.values()}


def files(tables: Tables, by: str) -> Iterator[Row]:
    """Recount the uploads, divided."""
    firsts = _first_of_file(tables)
    rows = [
        {
            **row,
            "status": row["processing_status"],
            "type": row["content_type"],
            "day": day_of(row["uploaded_at"]),
        }
        for row in tables["avatar_training_files"]
    ]
    for key, each in grouped(rows, "user_id" if by == "user" else by).items():
        good = sum(row["status"] == "completed" for row in each)
        bad = sum(row["status"] == "failed" for row in each)
        yield {
            **(whose(tables, "user", key) if by == "user" else {by: key}),
            "uploads": len(each),
            "users": len({row["user_id"] for row in each}),
            "bytes": sum(row["file_size"] for row in each if row["id"] in firsts),
            "processed": good,
            "failed": bad,
            "success_rate": ratio(good, bad),
            "average_seconds": mean([seconds(row["uploaded_at"], row["processed_at"]) for row in each]),
        }


def uploads(tables: Tables, status: str | None = None) -> Iterator[Row]:
    """Recount each upload."""
    for row in tables["avatar_training_files"]:
        if status in {None, row["processing_status"]}:
            yield {
                "id": row["id"],
                "name": row["original_name"],
                **whose(tables, "user", row["user_id"]),
                "run": row["training_data_id"],
                "status": row["processing_status"],
                "type": row["content_type"],
                "bytes": row["file_size"],
                "seconds": seconds(row["uploaded_at"], row["processed_at"]),
                "uploaded_at": row["uploaded_at"],
            }


def _unfinished(tables: Tables) -> Iterator[tuple[str, Row, str | None, datetime | None]]:
    tuning = {"preparing", "uploading", "validating", "queued", "running"}
    for row in tables["avatar_training_data"]:
        if row["status"] in {"pending", "processing"}:
            yield "session", row, row["status"], row["created_at"]
        if row["fine_tune_status"] in tuning:
            yield "fine-tune of session", row, row["fine_tune_status"], row["created_at"]
    for row in tables["avatar_fine_tune_jobs"]:
        if row["status"] in {"validating_files", "queued", "running"}:
            yield "fine-tune", row, row["status"], row["started_at"] or row["created_at"]
    avatars = {row["id"]: row["avatar_id"] for row in tables["avatar_training_data"]}
    for row in tables["avatar_training_files"]:
        if row["processing_status"] in {"pending", "processing"}:
            of_avatar = {**row, "avatar_id": avatars[row["training_data_id"]]}
            yield "file", of_avatar, row["processing_status"], row["uploaded_at"]


def stale(tables: Tables) -> Iterator[Row]:
    """Recount what has been unfinished for more than a day."""
    for kind, row, status, since in _unfinished(tables):
        if since is None or since < BEFORE:
            yield {
                "kind": kind,
                "id": row["id"],
                **labels(tables, row),
                "status": status,
                "since": since,
                "age_seconds": seconds(since, NOW),
            }


def examples(tables: Tables, by: str, below: Decimal) -> Iterator[Row]:
    """Recount the examples, divided."""
    column = {"source": "source_type", "pattern": "pattern_type", "avatar": "avatar_id", "user": "user_id"}[
        by
    ]
    for key, rows in grouped(tables["avatar_training_examples"], column).items():
        scores = [row["quality_score"] for row in rows if row["quality_score"] is not None]
        used = sum(row["used_in_training"] is True for row in rows)
        yield {
            **(whose(tables, by, key) if by in {"avatar", "user"} else {by: key}),
            "examples": len(rows),
            "avatars": len({row["avatar_id"] for row in rows}),
            "used": used,
            "used_share": rounded(Fraction(used, len(rows)), 6),
            "average_quality": mean(scores),
            "lowest_quality": least(scores),
            "below": sum(score < below for score in scores),
            "unscored": len(rows) - len(scores),
            "newest": most(row["created_at"] for row in rows),
        }


def avatar_of(tables: Tables) -> UUID:
    """Return the avatar with the most versions of its prompt."""
    return _commonest(tables["avatar_prompt_versions"], "avatar_id")


def versions(tables: Tables) -> Iterator[Row]:
    """Recount the versions of that avatar's prompt."""
    numbers = {row["id"]: row["version_number"] for row in tables["avatar_prompt_versions"]}
    for row in tables["avatar_prompt_versions"]:
        if row["avatar_id"] == avatar_of(tables):
            yield {
                "id": row["id"],
                "version": row["version_number"],
                "name": row["version_name"],
                "is_active": row["is_active"],
                "is_published": row["is_published"],
                "characters": len(row["system_prompt"]),
                "rules": None if row["behavior_rules"] is None else len(row["behavior_rules"]),
                "parent": numbers.get(row["parent_version_id"]),
                "run": row["training_data_id"],
                "created_at": row["created_at"],
                "activated_at": row["activated_at"],
            }


def _of_kind(rows: Sequence[Row], name: str, succeeded: str) -> Row:
    recent = in_time(rows, "created_at")
    good = sum(row["status"] == succeeded for row in recent)
    bad = sum(row["status"] == "failed" for row in recent)
    return {
        f"{name}s": len(rows),
        f"{name}s_30d": len(recent),
        f"{name}s_succeeded_30d": good,
        f"{name}s_failed_30d": bad,
        f"{name}_success_rate_30d": ratio(good, bad),
    }


def _tuned(tables: Tables, card: Sequence[Rate]) -> Row:
    found = [job for job in in_time(tables["avatar_fine_tune_jobs"], "finished_at") if job["trained_tokens"]]
    costs = [charged(job, card) for job in found]
    return {
        "trained_tokens_30d": sum(job["trained_tokens"] for job in found),
        "fine_tuning_cost_30d": decimal(total(cost for cost, _ in costs)) if found else 0,
        "fine_tuning_unpriced_30d": sum(unpriced or 0 for _, unpriced in costs),
    }


def _answered(tables: Tables, card: Sequence[Rate]) -> Row:
    tokens, costs, unpriced = {INPUT: 0, OUTPUT: 0}, [], 0
    for row in tables["avatar_fine_tune_usage"]:
        day = row["usage_date"]
        if day is None or not SPAN.since.date() <= day <= SPAN.until.astimezone(UTC).date():
            continue
        for unit, column in ((INPUT, "input_tokens"), (OUTPUT, "output_tokens")):
            quantity = row[column] or 0
            _, price = match(card, "inference", unit, [row["fine_tuned_model"]], day)
            tokens[unit] += quantity
            unpriced += quantity if price is None else 0
            if price is not None and quantity:
                costs.append(Fraction(price) * quantity / UNIT_SIZE[unit])
    return {
        "input_tokens_30d": tokens[INPUT],
        "output_tokens_30d": tokens[OUTPUT],
        "inference_cost_30d": decimal(total(costs)) if sum(tokens.values()) else 0,
        "inference_unpriced_30d": unpriced,
    }


def summary(tables: Tables, card: Sequence[Rate]) -> Iterator[Row]:
    """Recount the page of figures."""
    own, made = tables["avatar_training_files"], tables["avatar_training_examples"]
    firsts = _first_of_file(tables)
    logged = in_time(tables["avatar_training_logs"], "created_at")
    yield {
        **_of_kind(tables["avatar_training_data"], "session", "completed"),
        **_of_kind(tables["avatar_fine_tune_jobs"], "fine_tune", "succeeded"),
        **_tuned(tables, card),
        **_answered(tables, card),
        "stale": len(list(stale(tables))),
        "errors_30d": sum(row["log_type"] == "error" for row in logged),
        "files": len(own),
        "file_bytes": sum(row["file_size"] for row in own if row["id"] in firsts),
        "files_failed": sum(row["processing_status"] == "failed" for row in own),
        "examples": len(made),
        "examples_used": sum(row["used_in_training"] is True for row in made),
        "average_quality": mean([row["quality_score"] for row in made]),
        "prompt_versions": len(tables["avatar_prompt_versions"]),
    }
