"""Training clips as the simulator of the streams augments them (streams.py), one kind of augmentation at a time, and
ESC-50 heard badly.

Files in the cache folder (float16, of the published network): `lab-augmented-<kind>.npy` [clips, 896], one augmented
stretch of at most 4 s per training clip, and `lab-esc50-degraded.npy` [400, 896].
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..bank import is_background
from ..data import Clip, FrameCache
from ..encoder import AudioEncoder, streaming_plan
from ..streaming import LOOKAHEAD
from ..streams import StreamSimulator, level, power_of, reverberated
from .features import FEATURE_SIZE, embed

OFF = dict.fromkeys(("speed", "pitch", "again", "room", "response", "band_limit", "low_cut", "noise", "masked", "background", "gain"), 0.0)
KINDS = {
    "stretch": {},
    "speed": {"speed": 1.0, "pitch": 1.0},
    "room": {"room": 1.0},
    "microphone": {"response": 3.0, "band_limit": 1.0, "low_cut": 1.0},
    "noise": {"noise": 1.0},
    "masks": {"masked": 1.0},
    "background": {"background": 1.0},
    "gain": {"gain": 1.0},
    "everything": dict.fromkeys(OFF, 1.0) | {"again": 0.0, "response": 3.0},
}
"""What of the simulator is on; `response` is in dB, the rest are probabilities. `stretch` is the stretch as it was."""
SHORTEST = 32
"""Frames of a view at least: masks are up to 29 wide."""


def kinds_of(settings: dict) -> list[str]:
    """The kinds that a run draws from, none where its share is 0. An unknown one is an error."""
    chosen = settings["augmented"]["of"]
    chosen = [chosen] if isinstance(chosen, str) else list(chosen)
    if unknown := [str(kind) for kind in chosen if kind not in KINDS]:
        raise SystemExit(f"lab settings: augmented.of: there is no {', '.join(unknown)}; there are {', '.join(KINDS)}")
    return chosen if settings["augmented"]["share"] > 0 else []


def background_halves(clips: list[Clip], held_out: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """Backgrounds of the training sources as two masks [clips] without a common source: of every other source those to
    be put under training clips, of the rest those to be put under what is measured."""
    sources = sorted({clip.source for clip in clips if is_background(clip)} - held_out)
    return tuple(np.array([is_background(clip) and clip.source in half for clip in clips]) for half in (set(sources[::2]), set(sources[1::2])))


class Listener(StreamSimulator):
    """Sounds as `kind` has them heard, with backgrounds out of those given (mask over the clips)."""

    def __init__(self, cache: FrameCache, clips: list[Clip], kind: str, backgrounds: np.ndarray, frames: int):
        settings = OFF | KINDS[kind] | {"frames": frames, "short_window": 3, "usable": backgrounds}
        super().__init__(cache, clips, np.ones(len(clips)), streaming_plan(LOOKAHEAD, 240), settings)

    def view(self, clip: int, seed: int) -> np.ndarray:
        """Log-mel frames of an augmented stretch of a clip; of which stretch is up to the seed, whatever the kind."""
        rng = np.random.default_rng((seed, clip))
        return self.heard(self.sound(clip, rng)[: self.length], rng)

    def heard(self, power: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Mel power -> log-mel frames of it over a background, at another level, through a microphone."""
        if len(power) < SHORTEST:
            power = np.concatenate([power, np.zeros((SHORTEST - len(power), power.shape[1]), np.float32)])
        if rng.random() < self.settings["background"]:
            ground = self.ground(rng)[: len(power)]
            power = power + ground * (level(power) / level(ground) * 10 ** (-rng.uniform(0, 25) / 10))
        if rng.random() < self.settings["gain"]:
            power = power * 10 ** (rng.uniform(-20, 6) / 10)
        return self.recorded(power[None], rng)[0]


def embed_augmented(
    teacher: AudioEncoder, cache: FrameCache, clips: list[Clip], rows: np.ndarray, kind: str, backgrounds: np.ndarray, path: Path, seed: int
) -> np.ndarray:  # fmt: skip
    """Features of one augmented stretch of each clip in `rows`, [clips, 896], zeros for the others."""
    if not path.exists():
        listener, views = Listener(cache, clips, kind, backgrounds, frames=350), np.zeros((len(clips), FEATURE_SIZE), np.float16)
        for clip in tqdm(rows, desc=path.stem, mininterval=5):
            views[clip] = embed(teacher, listener.view(int(clip), seed))
        np.save(path, views)
    return np.load(path)


def embed_degraded(
    teacher: AudioEncoder, measured: FrameCache, cache: FrameCache, clips: list[Clip], backgrounds: np.ndarray, path: Path, seed: int
) -> np.ndarray:  # fmt: skip
    """Features of whole clips of `measured`, each once through all augmentations but speed and pitch, [clips, 896]."""
    if not path.exists():
        listener, views = Listener(cache, clips, "everything", backgrounds, frames=640), np.empty((len(measured), FEATURE_SIZE), np.float16)
        for clip in tqdm(range(len(measured)), desc=path.stem, mininterval=5):
            rng = np.random.default_rng((seed, clip))
            views[clip] = embed(teacher, listener.heard(reverberated(power_of(measured.clip(clip)), rng), rng))
        np.save(path, views)
    return np.load(path)
