"""Cached inputs and targets that make adaptation of the backbone cheap.

The layers below `split` keep their published weights, so their streaming output per clip is computed once
(`<name>.columns`, float16). The teacher's pooled embedding is computed once for a fixed set of random
stretches of the clips (`<name>.stretches.npz`). What remains to run per training step is a tenth of the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .data import FrameCache
from .encoder import AudioEncoder, lookahead_frames
from .frontend import FRONT_END, SILENT_FRAME

LENGTHS = [64, 112, 176, 272, 400, 576, 800, 992]
"""Stretch lengths in frames, multiples of a step."""


def tail_samples(encoder: AudioEncoder) -> int:
    """Zero samples that follow a clip: the encoder's lookahead."""
    return lookahead_frames(encoder.plan) * FRONT_END["hop_length"]


def image(frames: np.ndarray) -> torch.Tensor:
    """[..., time, mel] -> [batch, 1, mel, time]."""
    value = torch.from_numpy(np.array(frames, dtype=np.float32))
    return (value if value.dim() == 3 else value[None]).transpose(1, 2)[:, None]


class ColumnCache:
    """Outputs of the frozen layers, per clip [time, channels * frequency]."""

    def __init__(self, folder: Path, name: str, channels: int):
        self.index = np.load(folder / f"{name}.columns.npy")
        self.channels = channels
        width = int(self.index[0, 2])
        self.columns = np.memmap(folder / f"{name}.columns", dtype=np.float16, mode="r").reshape(-1, width)
        silence = folder / f"{name}.silence.npy"
        self.silence = np.load(silence) if silence.exists() else None  # the column of lasting digital silence

    def __len__(self) -> int:
        return len(self.index)

    def clip(self, clip: int) -> np.ndarray:
        first, count, _ = self.index[clip]
        return self.columns[first : first + count]

    def tensor(self, rows: np.ndarray) -> torch.Tensor:
        """[batch, time, channels * frequency] -> [batch, channels, frequency, time], channels last."""
        value = torch.from_numpy(np.asarray(rows, dtype=np.float32))
        value = value.unflatten(-1, (-1, self.channels))  # batch, time, frequency, channels
        return value.permute(0, 3, 2, 1).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def build_columns(encoder: AudioEncoder, split: int, cache: FrameCache, folder: Path, name: str) -> ColumnCache:
    """Runs layers 0 ..< split over every clip once."""
    channels = encoder.plan[split - 1].output_channels
    if not (folder / f"{name}.columns.npy").exists():
        index, first, tail = [], 0, tail_samples(encoder)
        with open(folder / f"{name}.columns", "wb") as file:
            for clip in tqdm(range(len(cache)), desc=f"columns {name}", mininterval=10):
                value = encoder.run(image(cache.clip(clip, tail)), 0, split)[0]  # channels, frequency, time
                rows = value.permute(2, 1, 0).reshape(value.shape[2], -1).numpy().astype(np.float16)
                file.write(rows.tobytes())
                index.append((first, len(rows), rows.shape[1]))
                first += len(rows)
        silent = torch.full((1, 1, FRONT_END["mel_count"], 800), SILENT_FRAME)
        np.save(folder / f"{name}.silence.npy", encoder.run(silent, 0, split)[0, :, :, -1].T.reshape(-1).numpy().astype(np.float16))
        np.save(folder / f"{name}.columns.npy", np.array(index, dtype=np.int64))
    return ColumnCache(folder, name, channels)


@dataclass
class Stretches:
    """Stretches of clips: clip index, first frame, frame count, and the teacher's pooled embedding."""

    clip: np.ndarray
    start: np.ndarray
    length: np.ndarray
    target: np.ndarray


def choose_stretches(cache: FrameCache, usable: np.ndarray, seed: int, per_clip_seconds: float = 4.0, most: int = 8) -> list[tuple[int, int, int]]:
    """About one stretch per `per_clip_seconds` of each usable clip, at random places and of random lengths."""
    rng, chosen = np.random.default_rng(seed), []
    for clip in map(int, np.flatnonzero(usable)):
        frames = cache.frame_count(clip)
        fitting = [length for length in LENGTHS if length <= frames]
        if not fitting:
            continue
        for _ in range(min(most, 1 + int(frames / 100 / per_clip_seconds))):
            length = int(rng.choice(fitting))
            chosen.append((clip, int(rng.integers(0, (frames - length) // 16 + 1)) * 16, length))
    return chosen


@torch.no_grad()
def build_stretches(teacher: AudioEncoder, cache: FrameCache, usable: np.ndarray, folder: Path, name: str, seed: int) -> Stretches:
    """Computes the teacher's embedding of each stretch once."""
    path = folder / f"{name}.stretches.npz"
    if not path.exists():
        chosen = sorted(choose_stretches(cache, usable, seed), key=lambda item: (item[2], item[0]))
        target, position = np.empty((len(chosen), 384), np.float16), 0
        progress = tqdm(total=len(chosen), desc=f"teacher {name}", mininterval=10)
        while position < len(chosen):
            length = chosen[position][2]
            group = [item for item in chosen[position : position + 16] if item[2] == length]
            frames = np.stack([cache.clip(clip)[start : start + length] for clip, start, _ in group])
            target[position : position + len(group)] = teacher(torch.from_numpy(frames.astype(np.float32))).mean(dim=1).numpy()
            position += len(group)
            progress.update(len(group))
        clip, start, length = np.array(chosen).T
        np.savez(path, clip=clip, start=start, length=length, target=target)
    return Stretches(**np.load(path))
