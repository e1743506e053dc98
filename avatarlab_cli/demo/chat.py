"""Chats in the web application: every answer, thumbs up and down, searches, patterns, fine-tuned tokens."""

from collections import defaultdict
from datetime import date, datetime, timedelta

from avatarlab_cli.demo.dice import Dice
from avatarlab_cli.demo.words import ANSWERS, DIALOGUES, QUESTIONS, TOPICS
from avatarlab_cli.demo.world import Avatar, World, milliseconds

MESSAGES = 30
"""Answers of an average user's month with an avatar."""

RATED_SHARE = 0.11
GOOD_SHARE = 0.78
UNRATED_SHARE = 0.003
UNDATED_SHARE = 0.001
EMPTY_SEARCH_SHARE = 0.25
MOST_PATTERNS = 4
MINUTE = timedelta(minutes=1)


def write(world: World, avatar: Avatar, searching_since: datetime | None) -> None:
    """Write the avatar's web chats; from `searching_since` on each question searches its documents."""
    dice = world.dice("chat", avatar.id)
    count = dice.poisson(MESSAGES * avatar.workload)
    moments = world.clock.moments(dice, count, avatar.created_at, avatar.active_until)
    for time in moments:
        question = _write_exchange(world, dice, avatar, time)
        if searching_since and time > searching_since:
            _write_search(world, dice, avatar, question, time)
    if avatar.tuned_model:
        _write_tokens(
            world, dice, avatar, avatar.tuned_model, [time for time in moments if time >= avatar.tuned_at]
        )
    if moments:
        _write_patterns(world, dice, avatar, moments)


def _write_exchange(world: World, dice: Dice, avatar: Avatar, time: datetime) -> str:
    """Write an exchange's neutral row, and a second one where the user rated it; return the question."""
    question, answer = dice.pick(DIALOGUES)
    luck = dice.random()
    ratings: list[tuple[str | None, datetime]] = [("neutral" if luck > UNRATED_SHARE else None, time)]
    if luck > 1 - RATED_SHARE:
        rated = "good" if dice.chance(GOOD_SHARE) else "bad"
        ratings.append((rated, dice.later(time, MINUTE, world.until)))
    for feedback, moment in ratings:
        world.rows.add(
            "conversation_feedback",
            id=dice.uuid(),
            avatar_id=avatar.id,
            user_id=avatar.user.id,
            user_message=question,
            avatar_response=answer,
            feedback=feedback,
            session_id=str(milliseconds(time)),
            created_at=None if dice.chance(UNDATED_SHARE) else moment,
        )
    return question


def _write_search(world: World, dice: Dice, avatar: Avatar, question: str, time: datetime) -> None:
    found = 0 if dice.chance(EMPTY_SEARCH_SHARE) else dice.randrange(1, 6)
    world.rows.add(
        "rag_search_logs",
        id=dice.uuid(),
        user_id=avatar.user.id,
        avatar_id=avatar.id,
        query_text=question,
        chunks_found=found,
        top_similarity_score=round(dice.uniform(0.7, 0.95), 4) if found else 0,
        created_at=time,
    )


def _write_tokens(world: World, dice: Dice, avatar: Avatar, model: str, moments: list[datetime]) -> None:
    """Write one row a day for what the fine-tuned model answered."""
    days: defaultdict[date, list[datetime]] = defaultdict(list)
    for time in moments:
        days[time.date()].append(time)
    for day, times in days.items():
        messages = len(times)
        world.rows.add(
            "avatar_fine_tune_usage",
            id=dice.uuid(),
            user_id=avatar.user.id,
            avatar_id=avatar.id,
            fine_tuned_model=model,
            messages_count=messages,
            input_tokens=messages * dice.randrange(200, 1500),
            output_tokens=messages * dice.randrange(40, 400),
            usage_date=None if dice.chance(UNDATED_SHARE) else day,
            created_at=times[0],
            updated_at=times[-1],
        )


def _write_patterns(world: World, dice: Dice, avatar: Avatar, moments: list[datetime]) -> None:
    for _ in range(min(dice.randrange(MOST_PATTERNS + 1), len(moments))):
        world.rows.add(
            "conversation_patterns",
            id=dice.uuid(),
            avatar_id=avatar.id,
            user_id=avatar.user.id,
            trigger_words=dice.pick(TOPICS).split()[-2:],
            response_pattern=dice.pick(ANSWERS),
            examples=[dice.pick(QUESTIONS)],
            usage_count=dice.randrange(1, 40),
            success_rate="0.80",
            pattern_type=dice.pick(("greeting", "question", "casual", "formal", "general")),
            created_at=moments[0],
            updated_at=moments[-1],
        )
