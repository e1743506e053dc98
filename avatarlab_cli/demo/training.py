"""Training sessions of an avatar: their files, logs, examples, prompt versions and fine-tune jobs."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from avatarlab_cli.demo.avatars import first_version_id
from avatarlab_cli.demo.dice import Dice
from avatarlab_cli.demo.storage import File, store, typical_size
from avatarlab_cli.demo.words import ANSWERS, DOCUMENTS, QUESTIONS
from avatarlab_cli.demo.world import Avatar, World, document, milliseconds

SESSIONS = 0.9
"""Sessions of an average user's month with an avatar."""

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
KINDS = ("prompt_update", "conversation_analysis", "file_upload")
STATUSES = (*("completed",) * 8, "failed", "processing", "pending")
STEPS = ("file_upload", "text_extraction", "analysis", "prompt_generation")
FILE_STATUSES = (*("completed",) * 3, "failed", "pending")
UNFINISHED_JOBS = ("running", "queued", "failed", "failed", "cancelled")
UNFINISHED_JOB_SHARE = 0.06
FORGOTTEN_SHARE = 0.05
"""Share of sessions the user deleted; their objects stay."""


@dataclass(frozen=True)
class Session:
    """One training of an avatar, from its start to its end."""

    id: str
    avatar: Avatar
    number: int
    kind: str
    status: str
    started_at: datetime
    ended_at: datetime

    @property
    def is_completed(self) -> bool:
        """Whether it made a new prompt version."""
        return self.status == "completed"


def write(world: World, avatar: Avatar) -> None:
    """Write the avatar's training history, the job behind its fine-tuned model included."""
    dice = world.dice("training", avatar.id)
    count = dice.poisson(SESSIONS * avatar.workload)
    parent = first_version_id(world, avatar)
    moments = world.clock.moments(dice, count, avatar.created_at, avatar.active_until)
    for number, time in enumerate(moments, start=1):
        session = _invent(world, dice, avatar, number, time)
        is_forgotten = dice.chance(FORGOTTEN_SHARE)
        if session.kind == "file_upload":
            _write_file(world, dice, session, is_forgotten=is_forgotten)
        if not is_forgotten:
            parent = _write_session(world, dice, session, parent)
        if dice.chance(UNFINISHED_JOB_SHARE):
            _write_job(world, dice, avatar, time, dice.pick(UNFINISHED_JOBS))
    if avatar.tuned_model:
        _write_job(world, dice, avatar, max(avatar.created_at, avatar.tuned_at - HOUR), "succeeded")


def _invent(world: World, dice: Dice, avatar: Avatar, number: int, time: datetime) -> Session:
    return Session(
        id=dice.uuid(),
        avatar=avatar,
        number=number,
        kind=dice.pick(KINDS),
        status=dice.pick(STATUSES),
        started_at=time,
        ended_at=dice.later(time, 9 * MINUTE, world.until),
    )


def _write_session(world: World, dice: Dice, session: Session, parent: str) -> str:
    """Write one session and return the id of the prompt version that is the avatar's newest now."""
    avatar = session.avatar
    is_tuning = avatar.tuned_model is not None and session.number == 1
    world.rows.add(
        "avatar_training_data",
        id=session.id,
        user_id=avatar.user.id,
        avatar_id=avatar.id,
        training_instructions=f"Answer more like this: {dice.pick(ANSWERS)}",
        training_type=session.kind,
        status=session.status,
        created_at=session.started_at,
        updated_at=session.ended_at,
        completed_at=session.ended_at if session.is_completed else None,
        fine_tune_status="succeeded" if is_tuning else None,
        fine_tuned_model_id=avatar.tuned_model if is_tuning else None,
    )
    _write_logs(world, dice, session)
    if not session.is_completed:
        return parent
    for _ in range(dice.randrange(4)):
        _write_example(world, dice, session)
    return _write_version(world, dice, session, parent)


def _events(dice: Dice, session: Session) -> list[tuple[str, str, str | None]]:
    """Return what happened as (log type, message, step)."""
    steps = STEPS if session.is_completed else STEPS[: dice.randrange(1, len(STEPS))]
    events: list[tuple[str, str, str | None]] = [("training_start", "Training started", None)]
    events += [("processing_step", f"Finished {step.replace('_', ' ')}", step) for step in steps]
    if session.is_completed:
        events.append(("completion", "Training completed", None))
    elif session.status == "failed":
        events.append(("error", "Training failed", steps[-1]))
    return events


def _write_logs(world: World, dice: Dice, session: Session) -> None:
    time = session.started_at
    for number, (kind, message, step) in enumerate(_events(dice, session)):
        time = dice.later(time, MINUTE, world.until)
        world.rows.add(
            "avatar_training_logs",
            id=dice.uuid(),
            avatar_id=session.avatar.id,
            user_id=session.avatar.user.id,
            training_data_id=session.id,
            log_type=kind,
            message=message,
            details=document(error="The provider answered 429: quota exceeded") if kind == "error" else None,
            processing_step=step,
            progress_percentage=100 * number // (len(STEPS) + 1),
            created_at=time,
        )


def _write_file(world: World, dice: Dice, session: Session, *, is_forgotten: bool) -> None:
    """Write the session's upload; of a forgotten session only the object is left."""
    user, time = session.avatar.user, session.started_at
    original = f"{dice.pick(DOCUMENTS)}.txt"
    key = f"{milliseconds(time)}-{original}"
    path = f"{user.id}/{session.id}/{key}"
    size = typical_size(dice, "training-files")
    store(world, dice, File("training-files", path, time, user.id, size))
    if not is_forgotten:
        world.rows.add(
            "avatar_training_files",
            id=dice.uuid(),
            training_data_id=session.id,
            user_id=user.id,
            file_name=key,
            original_name=original,
            file_path=path,
            file_size=size,
            content_type="text/plain",
            processing_status=dice.pick(FILE_STATUSES),
            uploaded_at=time,
            processed_at=session.ended_at,
        )


def _write_example(world: World, dice: Dice, session: Session) -> None:
    world.rows.add(
        "avatar_training_examples",
        id=dice.uuid(),
        user_id=session.avatar.user.id,
        avatar_id=session.avatar.id,
        training_data_id=session.id,
        system_prompt=f"You are {session.avatar.name}.",
        user_message=dice.pick(QUESTIONS),
        assistant_message=dice.pick(ANSWERS),
        source_type=dice.pick(("uploaded_file", "chat_history", "manual_entry")),
        quality_score=f"{dice.uniform(0.5, 1):.2f}",
        created_at=session.ended_at,
        updated_at=session.ended_at,
    )


def _write_version(world: World, dice: Dice, session: Session, parent: str) -> str:
    version = dice.uuid()
    world.rows.add(
        "avatar_prompt_versions",
        id=version,
        avatar_id=session.avatar.id,
        user_id=session.avatar.user.id,
        training_data_id=session.id,
        version_number=f"v1.{session.number}",
        system_prompt=f"You are {session.avatar.name}. {dice.pick(ANSWERS)}",
        is_active=False,
        is_published=dice.chance(0.2),
        created_at=session.ended_at,
        activated_at=None,
        parent_version_id=parent,
    )
    return version


def _write_job(world: World, dice: Dice, avatar: Avatar, time: datetime, status: str) -> None:
    has_succeeded = status == "succeeded"
    given_up = dice.later(time, HOUR, world.until) if status in {"failed", "cancelled"} else None
    finished = max(time, avatar.tuned_at) if has_succeeded else given_up
    world.rows.add(
        "avatar_fine_tune_jobs",
        id=dice.uuid(),
        user_id=avatar.user.id,
        avatar_id=avatar.id,
        training_data_id=None,
        openai_job_id=f"ftjob-{dice.token(24)}",
        openai_training_file_id=f"file-{dice.token(24)}",
        base_model=avatar.base_model,
        fine_tuned_model=avatar.tuned_model if has_succeeded else None,
        training_examples_count=dice.randrange(10, 400),
        status=status,
        error_message="The training file has fewer than 10 examples" if status == "failed" else None,
        trained_tokens=3 * dice.randrange(2_000, 400_000) if has_succeeded else None,
        created_at=None if dice.chance(0.02) else time,
        started_at=None if status == "queued" else dice.later(time, 5 * MINUTE, finished or world.until),
        finished_at=finished,
    )
