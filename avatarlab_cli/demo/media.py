"""Images and videos people generate, and the galleries they keep them in."""

import base64
from datetime import datetime, timedelta

from avatarlab_cli.demo.dice import Dice
from avatarlab_cli.demo.storage import File, store
from avatarlab_cli.demo.words import CATEGORIES, SCENES
from avatarlab_cli.demo.world import User, World, document, milliseconds

IMAGES = 9
"""Images of an average user's month; half of the users make some."""

VIDEOS = 1.6
FORGOTTEN_SHARE = 0.04
"""Share of images and videos whose row the user deleted; the object stays."""

EXPIRING_SHARE = 0.15
INLINE_SHARE = 0.004
EDITED_SHARE = 0.12
MINUTE = timedelta(minutes=1)
IMAGE_MODELS = (
    *(("kie-nano-banana", "nano-banana"),) * 6,
    *(("kie-qwen", "qwen"),) * 3,
    ("kie-imagen4", "imagen4"),
    ("kie-imagen4-ultra", "imagen4-ultra"),
    ("kie-gpt4o-image", "gpt4o-image"),
    ("KIE-Seedream", "seedream"),
    ("openai", "dall-e-3"),
    ("stability", "stable-diffusion-xl-1024-v1-0"),
    # No rate is published for these.
    ("kie-flux-kontext", "flux-kontext"),
    ("google", None),
)
VIDEO_MODELS = (
    *("kie-veo3-fast",) * 5,
    "kie-veo3-quality",
    "kie-hailuo",
    "kie-sora-2-pro",
    # No rate is published for this one.
    "kie-runway-gen4",
)
VIDEO_STATUSES = (*("completed",) * 8, "failed", "processing")


def write(world: World, user: User) -> None:
    """Write the account's images with a gallery, and in the panel state its videos."""
    dice = world.dice("media", user.index)
    if dice.chance(0.5):
        _write_images(world, dice, user, dice.poisson(2 * IMAGES * user.weight * user.months))
    if world.is_panel and dice.chance(0.3):
        videos = world.dice("videos", user.index)
        count = videos.poisson(VIDEOS * user.weight * user.months)
        for time in world.clock.moments(videos, count, user.signed_up_at, user.active_until):
            _write_video(world, videos, user, time)


def _write_images(world: World, dice: Dice, user: User, count: int) -> None:
    moments = world.clock.moments(dice, count, user.signed_up_at, user.active_until)
    drawn = [_write_image(world, dice, user, time) for time in moments]
    kept = [image for image in drawn if image]
    if kept and dice.chance(0.3):
        _write_gallery(world, dice, user, kept[-8:])


def _image_url(world: World, dice: Dice, user: User, image: str, time: datetime) -> str:
    """Return where the image is: our bucket, a provider's expiring address, or in the row itself."""
    luck = dice.random()
    if luck < INLINE_SHARE:
        return f"data:image/png;base64,{base64.b64encode(dice.randbytes(dice.randrange(900, 2400))).decode()}"
    if luck < INLINE_SHARE + EXPIRING_SHARE:
        return f"https://files.kie.example/temp/{dice.token(24)}.png"
    return store(world, dice, File("generated-images", f"{user.id}/{image}_{milliseconds(time)}.png", time))


def _original_url(world: World, dice: Dice, user: User, image: str, time: datetime) -> str:
    stamp = milliseconds(time)
    name = f"{image}_original_0_{stamp}.png" if dice.chance(0.5) else f"input_{image}_{stamp}.png"
    return store(world, dice, File("generated-images", f"{user.id}/{name}", time))


def _write_image(world: World, dice: Dice, user: User, time: datetime) -> str | None:
    """Write one image and return its id; None if the user deleted it since, which leaves its object."""
    image = dice.uuid()
    image_url = _image_url(world, dice, user, image, time)
    if dice.chance(FORGOTTEN_SHARE):
        return None
    provider, model = dice.pick(IMAGE_MODELS)
    is_edited = dice.chance(EDITED_SHARE)
    is_flagged = dice.chance(0.01)
    moderation = {
        "is_flagged": is_flagged,
        "flagged_reason": "Reported by a visitor" if is_flagged else None,
        "moderation_status": "flagged" if is_flagged else "approved",
    }
    world.rows.add(
        "generated_images",
        id=image,
        user_id=user.id,
        prompt=dice.pick(SCENES),
        generation_type="img2img" if is_edited else "text2img",
        model_used=model,
        width=1024,
        height=1024,
        image_url=image_url,
        original_image_url=_original_url(world, dice, user, image, time) if is_edited else None,
        is_favorite=dice.chance(0.1),
        created_at=time,
        updated_at=time,
        provider=provider,
        model=model,
        **(moderation if world.is_panel else {}),
    )
    return image


def _write_gallery(world: World, dice: Dice, user: User, images: list[str]) -> None:
    gallery = dice.uuid()
    world.rows.add(
        "image_collections",
        id=gallery,
        user_id=user.id,
        name=f"My {dice.pick(CATEGORIES)} pictures",
        created_at=user.active_until - MINUTE,
        updated_at=user.active_until - MINUTE,
    )
    for order, image in enumerate(images):
        world.rows.add(
            "image_collection_items",
            id=dice.uuid(),
            collection_id=gallery,
            image_id=image,
            user_id=user.id,
            sort_order=order,
            added_at=user.active_until - MINUTE,
        )


def _write_video(world: World, dice: Dice, user: User, time: datetime) -> None:
    video, provider, status = dice.uuid(), dice.pick(VIDEO_MODELS), dice.pick(VIDEO_STATUSES)
    ended = dice.later(time, 6 * MINUTE, world.until)
    is_completed = status == "completed"
    name = f"{user.id}/{video}_{milliseconds(ended)}.mp4"
    video_url = store(world, dice, File("generated-videos", name, ended)) if is_completed else None
    if is_completed and dice.chance(FORGOTTEN_SHARE):
        return
    world.rows.add(
        "generated_videos",
        id=video,
        user_id=user.id,
        task_id=dice.token(32),
        prompt=dice.pick(SCENES),
        provider=provider,
        model=provider.removeprefix("kie-"),
        status=status,
        progress=100 if is_completed else dice.randrange(90),
        video_url=video_url,
        error_message="The provider refused the prompt" if status == "failed" else None,
        parameters=document(quality="fast"),
        aspect_ratio="16:9",
        duration=8,
        created_at=None if dice.chance(0.003) else time,
        updated_at=ended,
        completed_at=ended if is_completed else None,
    )
