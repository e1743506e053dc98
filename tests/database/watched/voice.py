"""The reports on voices."""

from functools import partial

from avatarlab_cli.queries import voice_clones, voice_samples, voice_speech, voice_storage, voice_summary
from avatarlab_cli.rollup import rates
from tests.database.comparing import card
from tests.database.watching import NOW, SPAN, Case
from tests.reference import voice
from tests.reference.voice import BEFORE

CARD, PRICES = rates.load(), card()
CASES = (
    Case(
        "voice summary",
        lambda connection: voice_summary.summary(connection, SPAN, BEFORE, CARD),
        partial(voice.summary, card=PRICES),
    ),
    Case("voice clones", lambda connection: voice_clones.by_status(connection, BEFORE), voice.by_status),
    *(
        Case(
            "voice clones",
            lambda connection, stuck=stuck: voice_clones.clones(
                connection, NOW, BEFORE, voice_clones.Wanted(stuck=stuck)
            ),  # type: ignore[misc]  # bound early
            partial(voice.clones, stuck=stuck),
            label="--stuck" if stuck else "--list",
        )
        for stuck in (False, True)
    ),
    *(
        Case(
            "voice tts",
            lambda connection, by=by: voice_speech.speech(connection, SPAN, CARD, by),  # type: ignore[misc]
            partial(voice.speech, card=PRICES, by=by),
            label=f"--by {by}",
        )
        for by in voice_speech.DIMENSIONS
    ),
    *(
        Case(
            "voice samples",
            lambda connection, by=by: voice_samples.samples(connection, by),  # type: ignore[misc]
            partial(voice.samples, by=by),
            label=f"--by {by}",
        )
        for by in voice_samples.DIMENSIONS
    ),
    *(
        Case(
            "voice samples",
            lambda connection, unused=unused: voice_samples.recordings(connection, unused=unused),  # type: ignore[misc]
            partial(voice.recordings, unused=unused),
            label="--without-clone" if unused else "--list",
        )
        for unused in (False, True)
    ),
    Case("voice storage", voice_storage.storage, voice.storage),
)
