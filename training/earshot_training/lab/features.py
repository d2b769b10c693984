"""Audio features that every run of the laboratory shares: the published network, once per clip, crop and mixture.

Files in the cache folder (float16; 384 embedding values, 512 of the hidden layer): `lab-train.npy` [clips, views, 896]
(the whole clip, then random crops), `lab-mixtures.npz` (features [mixtures, 896] and the two clips of each), and
`lab-esc50.npy` [400, 1, 896].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ..data import FrameCache
from ..encoder import EMBEDDING_SIZE, HIDDEN_SIZE, AudioEncoder
from ..frontend import LogMel

FEATURE_SIZE = EMBEDDING_SIZE + HIDDEN_SIZE
LONGEST = 1000
"""Frames of a view at most (10 s)."""


@dataclass
class Mixtures:
    """Features of two clips heard at once, [n, 896], and the rows of the two, [n, 2]. Four in a row are a swap group:
    clips A, B, C, D as A+B, A+D, C+B, C+D, so that each differs from two others in one half only."""

    features: np.ndarray
    rows: np.ndarray


@torch.no_grad()
def embed(teacher: AudioEncoder, frames: np.ndarray) -> np.ndarray:
    """Log-mel frames [time, 128] -> features [896]."""
    pooled = teacher(torch.from_numpy(frames.astype(np.float32))[None]).mean(dim=1)
    return torch.cat([pooled, teacher.hidden_of(pooled)], dim=1)[0].numpy().astype(np.float16)


def crop(frames: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    length = min(length, len(frames))
    start = int(rng.integers(0, len(frames) - length + 1))
    return frames[start : start + length]


def embed_clips(teacher: AudioEncoder, cache: FrameCache, path: Path, crops: int, seed: int) -> np.ndarray:
    """Features of every clip, [clips, 1 + crops, 896]: the whole of it, and random crops of 1 to 10 s."""
    if not path.exists():
        rng, views = np.random.default_rng(seed), np.empty((len(cache), 1 + crops, FEATURE_SIZE), np.float16)
        for clip in tqdm(range(len(cache)), desc=path.stem, mininterval=5):
            frames = cache.clip(clip)
            views[clip, 0] = embed(teacher, frames[:LONGEST])
            for view in range(1, 1 + crops):
                views[clip, view] = embed(teacher, crop(frames, int(100 * np.exp(rng.uniform(0, np.log(10)))), rng))
        np.save(path, views)
    return np.load(path)


def mix_frames(first: np.ndarray, second: np.ndarray, decibels: float, front_end: LogMel) -> np.ndarray:
    """Log-mels of two sounds at once (powers add), the second repeated or cut to the length of the first and scaled so
    that its mean power is `decibels` below the first's."""
    second = np.resize(second, first.shape)
    one, two = (front_end.power_of(torch.from_numpy(frames.astype(np.float32))) for frames in (first, second))
    gain = one.mean().clamp_min(1e-9) / two.mean().clamp_min(1e-9) * 10 ** (-decibels / 10)
    return front_end.scale(one + gain * two).numpy()


def swap_groups(rows: np.ndarray, labels: list[set[str]], groups: int, rng: np.random.Generator) -> np.ndarray:
    """Pairs [4 * groups, 2] of clips to be mixed, each four made of four clips that share no label."""
    pairs: list[tuple[int, int]] = []
    while len(pairs) < 4 * groups:
        a, b, c, d = (int(row) for row in rng.choice(rows, 4, replace=False))
        if len(labels[a] | labels[b] | labels[c] | labels[d]) == sum(len(labels[row]) for row in (a, b, c, d)):
            pairs += [(a, b), (a, d), (c, b), (c, d)]
    return np.array(pairs)


def embed_mixtures(teacher: AudioEncoder, cache: FrameCache, pairs: np.ndarray, path: Path, seed: int, frames: int = 300) -> Mixtures:
    """Mixtures of the pairs, the second 0 to 6 dB under the first, of at most `frames` frames."""
    if not path.exists():
        rng, front_end, features = np.random.default_rng(seed), LogMel(), np.empty((len(pairs), FEATURE_SIZE), np.float16)
        for row, (first, second) in enumerate(tqdm(pairs, desc=path.stem, mininterval=5)):
            one, two = crop(cache.clip(first), frames, rng), crop(cache.clip(second), frames, rng)
            features[row] = embed(teacher, mix_frames(one, two, rng.uniform(0, 6), front_end))
        np.savez(path, features=features, rows=pairs)
    stored = np.load(path)
    return Mixtures(stored["features"], stored["rows"])
