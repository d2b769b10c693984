"""Step embeddings of every clip from the frozen encoder, and random pooled crops of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .columns import ColumnCache
from .data import TAIL_SAMPLES, FrameCache
from .encoder import EMBEDDING_SIZE, AudioEncoder, lookahead_frames, step_frames
from .frontend import SILENT_FRAME


TAIL_STEPS = 24
"""Steps of digital silence that are computed after each clip; later ones equal the last of them."""


class StepCache:
    """Steps of all clips, one clip after the other: `steps` [total, 384] with their running sum for fast means, and the
    running sums of the silence after each clip [clips, TAIL_STEPS + 1, 384]."""

    def __init__(self, steps: np.ndarray, offsets: np.ndarray, tails: np.ndarray):
        self.steps, self.offsets = steps, offsets
        self.sums = np.concatenate([np.zeros((1, steps.shape[1])), np.cumsum(steps, axis=0, dtype=np.float64)])
        self.counts = np.diff(offsets)
        self.last_tail = tails[:, -1].astype(np.float32)
        self.tail_sums = np.concatenate([np.zeros_like(tails[:, :1], np.float32), np.cumsum(tails, axis=1, dtype=np.float32)], axis=1)

    def __len__(self) -> int:
        return len(self.counts)

    def clip(self, clip: int) -> np.ndarray:
        return self.steps[self.offsets[clip] : self.offsets[clip + 1]]

    def means(self, clips: np.ndarray, starts: np.ndarray, lengths: np.ndarray, silent: np.ndarray | None = None) -> torch.Tensor:
        """Pooled embeddings [n, 384] of runs of steps, with `silent` steps of the silence after the clip pooled too."""
        first = self.offsets[clips] + starts
        total = self.sums[first + lengths] - self.sums[first]
        if silent is not None:
            near = np.minimum(silent, TAIL_STEPS)
            total = total + self.tail_sums[clips, near] + (silent - near)[:, None] * self.last_tail[clips]
            lengths = lengths + silent
        return torch.from_numpy((total / lengths[:, None]).astype(np.float32))

    def whole(self) -> torch.Tensor:
        return self.means(np.arange(len(self)), np.zeros(len(self), np.int64), self.counts)

    def crops(
        self, clips: np.ndarray, rng: np.random.Generator, whole: float = 0.4, silence: float = 0.3, shortest: int = 6, longest: int = 62
    ) -> torch.Tensor:
        """Pooled random crops of 1 to 10 s; with probability `whole` the clip as it is. With probability `silence` a
        crop is followed by digital silence, of up to nine times its own length: recordings are often padded so."""
        lengths = np.exp(rng.uniform(np.log(shortest), np.log(longest), len(clips))).astype(np.int64)
        counts = self.counts[clips]
        lengths = np.where(rng.random(len(clips)) < whole, counts, np.minimum(lengths, counts))
        starts = (rng.random(len(clips)) * (counts - lengths + 1)).astype(np.int64)
        share = np.where(rng.random(len(clips)) < silence, rng.uniform(0.1, 0.9, len(clips)), 0.0)
        silent = np.minimum(longest, lengths * share / (1 - share)).astype(np.int64)
        return self.means(clips, starts, lengths, silent)


PREROLL_COLUMNS = 62
"""Columns (5 s) of a clip's end that are run before it, where it is heard with its running windows filled."""


@torch.no_grad()
def build_steps(encoder: AudioEncoder, columns: ColumnCache, split: int, path: Path) -> StepCache:
    """Runs layers `split` and up over all cached columns. Every second clip is heard as it stands in a recording that
    went on like it before (its own end goes first), the others from the first sound on."""
    if not path.exists():
        steps, offsets, tails = [], [0], []
        silence = np.repeat(columns.silence[None], 2 * TAIL_STEPS, axis=0)
        for clip in tqdm(range(len(columns)), desc=f"steps {path.stem}", mininterval=10):
            rows = columns.clip(clip)
            count = max(1, len(rows) // 2)
            rows = rows[: 2 * count]
            before = rows[-PREROLL_COLUMNS:] if clip % 2 == 0 and len(rows) % 2 == 0 else rows[:0]
            value = encoder.finish(encoder.run(columns.tensor(np.concatenate([before, rows, silence])[None]), split))[0]
            value = value[len(before) // 2 :].numpy().astype(np.float16)
            steps.append(value[:-TAIL_STEPS])
            tails.append(value[-TAIL_STEPS:])
            offsets.append(offsets[-1] + len(steps[-1]))
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, steps=np.concatenate(steps), offsets=np.array(offsets, np.int64), tails=np.stack(tails))
    stored = np.load(path)
    return StepCache(stored["steps"].astype(np.float32).reshape(-1, EMBEDDING_SIZE), stored["offsets"], stored["tails"])


PREROLL_FRAMES = 496
"""Frames (5 s) of a clip's end that are run before it, where it is heard with its running windows filled."""


def padded_frames(encoder: AudioEncoder, cache: FrameCache, clip: int, longest: int | None = None) -> np.ndarray:
    """A clip (or its first `longest` frames), cut to whole steps, followed by what the encoder looks ahead: silence."""
    step, ahead = step_frames(encoder.plan), lookahead_frames(encoder.plan)
    count = cache.frame_count(clip) if longest is None else min(longest, cache.frame_count(clip))
    count = max(step, count // step * step)
    value = np.asarray(cache.clip(clip, TAIL_SAMPLES)[: count + ahead], np.float32)
    missing = count + ahead - len(value)
    return value if missing <= 0 else np.concatenate([value, np.full((missing, value.shape[1]), SILENT_FRAME, np.float32)])


@torch.no_grad()
def steps_of_clips(encoder: AudioEncoder, cache: FrameCache, path: Path) -> StepCache:
    """Steps of every clip. Every second one is heard as it stands in a recording that went on like it before (its own end
    goes first), the others from the first sound on."""
    if not path.exists():
        step, steps, offsets = step_frames(encoder.plan), [], [0]
        for clip in tqdm(range(len(cache)), desc="steps", mininterval=10):
            value = padded_frames(encoder, cache, clip)
            sound = value[: len(value) - lookahead_frames(encoder.plan)]
            before = sound[-PREROLL_FRAMES:] if clip % 2 == 0 else sound[:0]
            result = encoder(torch.from_numpy(np.concatenate([before, value]))[None])[0]
            steps.append(result[len(before) // step :].numpy().astype(np.float16))
            offsets.append(offsets[-1] + len(steps[-1]))
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, steps=np.concatenate(steps), offsets=np.array(offsets, np.int64))
    stored = np.load(path)
    return StepCache(stored["steps"].astype(np.float32), stored["offsets"], np.zeros((len(stored["offsets"]) - 1, 1, EMBEDDING_SIZE), np.float32))
