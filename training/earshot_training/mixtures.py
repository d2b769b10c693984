"""Augmented stretches for distillation: mixtures of two clips with random levels and spectral tilt, as columns of the
frozen layers with the teacher's embedding of the same mixture. Made once per seed, since they need the whole network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .columns import LENGTHS, ColumnCache, Stretches
from .data import FrameCache
from .encoder import AudioEncoder, lookahead_frames
from .frontend import LogMel

CONTEXTS = (0, 0, 160)
GROUP = 12


def excerpt(cache: FrameCache, rng: np.random.Generator, clip: int, length: int) -> np.ndarray:
    """A random stretch of a clip; short clips start at a random place in a bed of their own repetition."""
    frames = np.asarray(cache.clip(clip), np.float32)
    if len(frames) < length:
        frames = np.tile(frames, (-(-length // len(frames)) + 1, 1))
    start = rng.integers(0, len(frames) - length + 1)
    return frames[start : start + length]


def random_stretches(cache: FrameCache, rng: np.random.Generator, count: int, length: int) -> np.ndarray:
    """Frames [count, length, mel] of clips that are at least that long."""
    able = np.flatnonzero(np.array([cache.frame_count(clip) for clip in range(len(cache))]) >= length)
    return np.stack([excerpt(cache, rng, int(clip), length) for clip in rng.choice(able, count)])


def coloured(power: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Level of -15 to +6 dB and a smooth spectral response of about +-4 dB per excerpt."""
    size, bands = len(power), power.shape[-1]
    knots = torch.from_numpy(rng.normal(0, 3, (size, 1, 6))).float()
    response = torch.nn.functional.interpolate(knots, bands, mode="linear", align_corners=True)
    level = torch.from_numpy(rng.uniform(-15, 6, (size, 1, 1))).float()
    return power * 10 ** ((response + level) / 10)


def mixture(cache: FrameCache, frontend: LogMel, rng: np.random.Generator, weights: np.ndarray, length: int) -> tuple[torch.Tensor, np.ndarray]:
    """GROUP log-mel excerpts, two of three mixed with another excerpt at -12 to +12 dB, and the clips in each:
    [GROUP, 2], the second -1 where there is none or where it is more than 9 dB below the first."""
    clips = rng.choice(len(cache), (GROUP, 2), p=weights)
    draw = lambda column: torch.from_numpy(np.stack([excerpt(cache, rng, int(clip), length) for clip in clips[:, column]]))
    first, second = frontend.power_of(draw(0)), frontend.power_of(draw(1))
    decibels = rng.uniform(-12, 12, (GROUP, 1, 1))
    levels = [value.mean(dim=(1, 2), keepdim=True).clamp_min(1e-7) for value in (first, second)]
    mixed = rng.random((GROUP, 1, 1)) < 2 / 3
    added = second * levels[0] / levels[1] * torch.from_numpy(10 ** (decibels / 10)).float()
    clips[:, 1] = np.where(mixed[:, 0, 0] & (decibels[:, 0, 0] > -9), clips[:, 1], -1)
    return frontend.scale(coloured(first + torch.where(torch.from_numpy(mixed), added, torch.zeros(())), rng)), clips


@torch.no_grad()
def build_mixtures(
    encoder: AudioEncoder, teacher: AudioEncoder, split: int, cache: FrameCache, usable: np.ndarray, folder: Path, count: int, seed: int
) -> tuple[ColumnCache, Stretches]:
    name, channels = f"mixtures-{seed}", encoder.plan[split - 1].output_channels
    if not (folder / f"{name}.stretches.npz").exists():
        rng, frontend, tail = np.random.default_rng((seed, 77)), LogMel(), lookahead_frames(encoder.plan)
        weights = np.sqrt(cache.index[:, 1].astype(np.float64)) * usable
        weights /= weights.sum()
        index, start, length, target, sounding, first = [], [], [], [], [], 0
        with open(folder / f"{name}.columns", "wb") as file:
            for _ in tqdm(range(count // GROUP), desc=name, mininterval=10):
                stretch, context = int(rng.choice(LENGTHS)), int(rng.choice(CONTEXTS))
                frames, clips = mixture(cache, frontend, rng, weights, context + stretch + tail)
                sounding.append(clips)
                values = encoder.run(frames.transpose(1, 2)[:, None], 0, split).permute(0, 3, 2, 1).flatten(2)
                target.append(teacher(frames[:, context : context + stretch]).mean(dim=1).numpy().astype(np.float16))
                for rows in values[:, : (context + stretch) // 8].numpy().astype(np.float16):
                    file.write(rows.tobytes())
                    index.append((first, len(rows), rows.shape[1]))
                    first += len(rows)
                start += [context] * GROUP
                length += [stretch] * GROUP
        np.save(folder / f"{name}.clips.npy", np.concatenate(sounding))
        np.save(folder / f"{name}.columns.npy", np.array(index, dtype=np.int64))
        np.savez(folder / f"{name}.stretches.npz", clip=np.arange(len(index)), start=np.array(start), length=np.array(length), target=np.concatenate(target))
    return ColumnCache(folder, name, channels), Stretches(**np.load(folder / f"{name}.stretches.npz"))
