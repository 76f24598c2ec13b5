"""What is asked of the world: `world:images?n=..&size=..&seed=..`, objects or videos."""

from __future__ import annotations

import hashlib
from typing import Literal, get_args
from urllib.parse import parse_qsl

from hotstart.config import Field, Settings, nearest, parse
from hotstart.errors import UsageError

PREFIX = "world:"
VERSION = 1
"""Changes whenever the same seed would make other pictures."""
EXAMPLES = (
    "world:images?n=1000&size=64&seed=0 or world:videos?n=300&frames=16&size=64&seed=0, "
    "in quotes because of the &"
)
VIDEOS_ALONE = ("frames", "hz")

Kind = Literal["images", "objects", "videos"]
"""Scenes of many things; one thing, near, shapes in turn; clips of an action, in turn."""


class WorldSettings(Settings):
    """How many pictures or clips of the world, and which."""

    kind: Kind
    n: int = Field(default=1000, ge=1, le=1_000_000)
    """Pictures, or clips."""
    size: int = Field(default=64, ge=16, le=1024)
    """Side in pixels."""
    seed: int = Field(default=0, ge=0)
    frames: int = Field(default=16, ge=2, le=512)
    """Of a clip."""
    hz: int = Field(default=12, ge=1, le=120)
    """Frames a second."""
    samples: int = Field(default=16, ge=1, le=4096)
    """Paths of light that are followed for a pixel: fewer are quicker and leave more noise."""

    @property
    def text(self) -> str:
        """As one types it, with every value that matters: the same text, the same world."""
        own = self.model_dump(exclude={"kind", *(() if self.is_video else VIDEOS_ALONE)})
        return f"{PREFIX}{self.kind}?" + "&".join(f"{key}={value}" for key, value in own.items())

    @property
    def is_video(self) -> bool:
        return self.kind == "videos"

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits: of what is asked, this version, and the engines' versions."""
        from hotstart.world.engines import versions

        state = f"{self.text}|{VERSION}|{versions()}"
        return hashlib.blake2b(state.encode(), digest_size=16).hexdigest()


def parse_world(text: str) -> WorldSettings:
    """Settings of `world:images?...` (or objects, or videos); what is not said has its default.

    Raises `UsageError` for a kind, a setting or a value that there is not.
    """
    kind, _, query = text.removeprefix(PREFIX).partition("?")
    kinds = get_args(Kind)
    if not text.startswith(PREFIX) or kind not in kinds:
        raise UsageError(f"{text!r}: {nearest(kind, kinds)}; write {EXAMPLES}")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise UsageError(
            f"{text!r}: after the ? stand name=value, joined by &: {EXAMPLES}"
        ) from None
    values = dict(pairs)
    if len(values) < len(pairs):
        raise UsageError(f"{text!r} says one setting twice; write {EXAMPLES}")
    if "kind" in values:
        raise UsageError(f"{text!r}: the kind stands before the ?; write {EXAMPLES}")
    wrong = [name for name in VIDEOS_ALONE if name in values and kind != "videos"]
    if wrong:
        raise UsageError(f"{text!r}: {wrong[0]} is a setting of world:videos, not of world:{kind}")
    return parse(WorldSettings, {"kind": kind, **values}, text)
