"""What a clip sounds like: things ring when they are hit, and rustle when they rub or roll.

Modal synthesis (van den Doel 2001, "FoleyAutomatic: Physically-based Sound Effects for Interactive
Simulation and Animation", SIGGRAPH): a thing is a set of damped oscillators. Its substance sets how
fast they fade and, with its size, how high they are; the impulse of a contact sets how loud. The
frequencies' ratios are plausible for each shape, not computed from its elasticity.
"""

from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from hotstart.world.physics import Motion
from hotstart.world.scene import SUBSTANCES, Numbers, Scene, Thing

SOUND_HZ = 16_000  # That of `data/sample.py`, which would load torch in every process.
RATIOS = {
    "sphere": (1.0, 1.53, 2.01, 2.47, 3.1, 3.9),
    "box": (1.0, 1.41, 1.73, 2.24, 2.83, 3.6),
    "cylinder": (1.0, 1.58, 2.24, 2.92, 3.46, 4.2),
    "capsule": (1.0, 1.67, 2.4, 3.11, 3.9, 4.7),
    "ellipsoid": (1.0, 1.49, 1.87, 2.38, 2.95, 3.5),
    "pyramid": (1.0, 1.36, 1.9, 2.55, 3.02, 3.7),
}
REFERENCE_METRES = 0.1
LOUD = 0.7  # Of full scale, that no impact is louder than.
HALF_LOUD = 40.0  # Newton seconds that are half as loud.
THUD_HZ, THUD_DAMPING, THUD = 85.0, 40.0, 0.35  # What the floor adds to an impact.
SOFTEST_SECONDS, HARDEST_HZ = 0.004, 200.0
RUBBING, HALF_RUBBING = 0.12, 300.0  # Of full scale at most; watts that are half as loud.
FADES = 7.0  # Time constants after which a mode is silent.


def synthesise(
    scene: Scene, motion: Motion, seconds: float, rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """The sound of a clip, int16 (n,) at `SOUND_HZ`, n = `seconds` of it."""
    samples = round(seconds * SOUND_HZ)
    heard = np.zeros(samples)
    voices = [_Voice(thing, rng) for thing in scene.things]
    for contact in motion.contacts:
        loudness = LOUD * contact.impulse / (contact.impulse + HALF_LOUD)
        start = round(contact.seconds * SOUND_HZ)
        parts = [voices[k].rings(samples - start) for k in contact.things if k >= 0]
        if min(contact.things) < 0:
            parts.append(THUD * _decay(THUD_HZ, THUD_DAMPING, samples - start))
        for part in parts:
            heard[start:] += loudness / len(parts) * part
    steps = (np.arange(len(motion.rubbing)) + 0.5) / motion.steps_a_second
    times = (np.arange(samples) + 0.5) / SOUND_HZ
    for k, voice in enumerate(voices):
        noise = rng.standard_normal(samples)
        if motion.rubbing[:, k].any():
            power = np.interp(times, steps, motion.rubbing[:, k], right=0.0)
            heard += RUBBING * power / (power + HALF_RUBBING) * voice.rustles(noise)
    return np.round(np.tanh(heard) * 32767).astype(np.int16)


class _Voice:
    """The oscillators of one thing."""

    def __init__(self, thing: Thing, rng: np.random.Generator) -> None:
        substance = SUBSTANCES[thing.substance]
        size = float(np.prod(thing.half) ** (1 / 3))
        lowest = substance.hz * REFERENCE_METRES / size
        self.hz = lowest * np.array(RATIOS[thing.shape])
        # High modes fade sooner.
        self.damping = substance.damping * (0.7 + 0.3 * self.hz / self.hz[0])
        # Where it was hit, and by what, we do not model: strengths are drawn once. What is soft
        # gives way, and rings less in its high modes.
        push = SOFTEST_SECONDS * min(HARDEST_HZ / substance.hz, 1.0)
        strengths = rng.uniform(0.4, 1.0, len(self.hz)) / (1 + (push * self.hz) ** 2)
        strengths[self.hz > 0.45 * SOUND_HZ] = 0
        self.strengths = strengths / max(strengths.sum(), 1e-9)

    def rings(self, samples: int) -> Numbers:
        """After a unit impact."""
        modes = zip(self.hz, self.damping, self.strengths, strict=True)
        rung = np.zeros(samples)
        for hz, damping, strength in modes:
            rung += strength * _decay(hz, damping, samples)
        return rung

    def rustles(self, noise: Numbers) -> Numbers:
        """Noise (n,) as the thing's modes colour it, of unit power."""
        coloured = np.zeros(len(noise))
        for hz, damping, strength in zip(self.hz, self.damping, self.strengths, strict=True):
            radius = np.exp(-max(damping, 30.0) / SOUND_HZ)
            pole = 2 * radius * np.cos(2 * np.pi * hz / SOUND_HZ)
            part = lfilter([1.0], [1.0, -pole, radius**2], noise)
            coloured += strength * part / max(float(part.std()), 1e-9)
        return coloured / max(float(coloured.std()), 1e-9)


def _decay(hz: float, damping: float, samples: int) -> Numbers:
    """A damped oscillation, (samples,)."""
    audible = min(samples, int(FADES / damping * SOUND_HZ) + 1)
    times = np.arange(audible) / SOUND_HZ
    wave_ = np.exp(-damping * times) * np.sin(2 * np.pi * hz * times)
    return np.pad(wave_, (0, samples - audible))


def wav(samples: npt.NDArray[np.int16]) -> bytes:
    """One channel of 16-bit sound as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SOUND_HZ)
        out.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()
