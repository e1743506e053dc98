"""Cloned voices with their samples, and the speech made with them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from avatarlab_cli.demo.dice import Dice
from avatarlab_cli.demo.storage import File, store, typical_size
from avatarlab_cli.demo.words import ANSWERS, SPEECHES
from avatarlab_cli.demo.world import User, World, document, milliseconds

SPEAKING_SHARE = 0.3
CLONING_SHARE = 0.35
"""Share of the speaking users who cloned a voice."""

SPEECH = 8
"""Texts spoken in an average user's month."""

ABANDONED_SHARE = 0.08
"""Share of samples that were uploaded and never made into a voice."""

BYTES_PER_CHARACTER = 1_000
"""Of spoken text, recorded at 128 kbit/s."""

MINUTE = timedelta(minutes=1)
MODELS = (*("eleven_monolingual_v1",) * 5, "eleven_multilingual_v2", None)
SETTINGS = document(stability=0.5, similarity_boost=0.75, style=0, use_speaker_boost=True)


@dataclass(frozen=True)
class Clone:
    """A voice: its samples are uploaded first, then it is made."""

    id: str
    uploaded_at: datetime
    made_at: datetime


def write(world: World, user: User) -> None:
    """Write the account's voices and what they said."""
    dice = world.dice("voice", user.index)
    if not dice.chance(SPEAKING_SHARE):
        return
    count = dice.poisson(0.7) if dice.chance(CLONING_SHARE) else 0
    clones = [
        _write_clone(world, dice, user, time)
        for time in world.clock.moments(dice, 1 + count, user.signed_up_at, user.active_until)[:count]
    ]
    said = dice.poisson(SPEECH / SPEAKING_SHARE * user.weight * user.months)
    for time in world.clock.moments(dice, said, user.signed_up_at, user.active_until):
        made = [clone.id for clone in clones if clone.made_at < time]
        _write_speech(world, dice, user, dice.pick(made) if made else None, time)


def _write_clone(world: World, dice: Dice, user: User, time: datetime) -> Clone:
    """Write a voice with its samples."""
    clone = Clone(dice.uuid(), time, dice.later(time, 20 * MINUTE, world.until))
    count = dice.randrange(1, 5)
    world.rows.add(
        "voice_clones",
        id=clone.id,
        user_id=user.id,
        name=f"{user.name.split()[0]}'s voice",
        elevenlabs_voice_id=dice.token(20),
        status="active" if dice.chance(0.85) else "training",
        sample_count=count,
        created_at=clone.made_at,
        updated_at=clone.made_at,
    )
    for number in range(count):
        _write_sample(world, dice, user, clone, number)
    return clone


def _write_sample(world: World, dice: Dice, user: User, clone: Clone, number: int) -> None:
    """Write a sample's two rows: one of the upload, one of the voice made from it."""
    filename = f"sample-{number + 1}-{dice.token(6)}.mp3"
    size = typical_size(dice, "voice-samples")
    name = f"{user.id}/{milliseconds(clone.uploaded_at)}_{filename}"
    file_url = store(world, dice, File("voice-samples", name, clone.uploaded_at, user.id, size))
    is_abandoned = dice.chance(ABANDONED_SHARE)
    stages = [(None, "uploaded", clone.uploaded_at), (clone.id, "completed", clone.made_at)]
    for voice, status, time in stages[:1] if is_abandoned else stages:
        world.rows.add(
            "voice_samples",
            id=dice.uuid(),
            voice_clone_id=voice,
            user_id=user.id,
            filename=filename,
            file_url=file_url,
            file_size_bytes=size,
            duration_seconds=round(size / 16_000, 2),
            status=status,
            created_at=time,
        )


def _write_speech(world: World, dice: Dice, user: User, clone: str | None, time: datetime) -> None:
    speech = dice.uuid()
    name = f"{user.id}/{speech}_{milliseconds(time)}.mp3"
    text = dice.pick(SPEECHES if dice.chance(0.3) else ANSWERS)
    recording = File("voice-samples", name, time, size=len(text) * BYTES_PER_CHARACTER)
    world.rows.add(
        "tts_generations",
        id=speech,
        user_id=user.id,
        voice_clone_id=clone,
        text=text,
        audio_url=store(world, dice, recording),
        model=dice.pick(MODELS),
        settings=SETTINGS,
        created_at=time,
    )
