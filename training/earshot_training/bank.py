"""The banks that ship with the model, in metric space.

`reference`: windows of training clips spread over the tags that they sound like; the streaming matcher solves its
transport over them beside the live windows. `background`: windows of room tone, hum and plain ambience; a label's
median and spread of similarity come from it.
"""

from __future__ import annotations

import numpy as np
import torch

from .data import Clip
from .encoder import AudioEncoder
from .features import StepCache
from .heads import Heads

DISTINCT_AMBIENCE = ("rainforest", "jungle", "swamp", "night", "forest", "meadow")
"""Ambiences full of birds and insects, which are sounds of interest themselves."""


def is_background(clip: Clip) -> bool:
    if clip.kind == "background":
        return True
    plain = [label for label in clip.labels if label.endswith(" ambience") and not label.startswith(DISTINCT_AMBIENCE)]
    return clip.kind == "ambience" and bool(plain) and all(label in plain or label == "crowd murmur" for label in clip.labels)


@torch.no_grad()
def embed_windows(encoder: AudioEncoder, heads: Heads, pooled: torch.Tensor) -> torch.Tensor:
    """Pooled embeddings [n, 384] -> rows of metric space [n, r]."""
    hidden = encoder.hidden_of(pooled)
    return heads.embed(heads.audio_vector(pooled, hidden, encoder.logits_of(hidden)))


def random_windows(steps: StepCache, clips: np.ndarray, length: int, rng: np.random.Generator) -> torch.Tensor:
    """One window of `length` steps (or the whole of a shorter clip) of each clip, [n, 384]."""
    counts = steps.counts[clips]
    lengths = np.minimum(length, counts)
    starts = (rng.random(len(clips)) * (counts - lengths + 1)).astype(np.int64)
    return steps.means(clips, starts, lengths)


def build_bank(encoder: AudioEncoder, heads: Heads, steps: StepCache, clips: list[Clip], usable: np.ndarray, window: int, reference: int, background: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    sounding = np.array([row for row, clip in enumerate(clips) if usable[row] and clip.labels and not is_background(clip)])
    pooled = random_windows(steps, rng.permutation(sounding), window, rng)
    with torch.no_grad():
        logits = encoder.logits_of(encoder.hidden_of(pooled))
        top = ((logits - heads.tag_mean) * heads.tag_scale).argmax(dim=1).numpy()
    # Round robin over the tags: the first window of every tag, then the second, until the bank is full.
    seen: dict[int, int] = {}
    rounds = np.empty(len(top), np.int64)
    for row, tag in enumerate(top):
        rounds[row] = seen.get(tag, 0)
        seen[tag] = rounds[row] + 1
    chosen = np.argsort(rounds, kind="stable")[:reference]

    quiet = np.array([row for row, clip in enumerate(clips) if usable[row] and is_background(clip)])
    weights = np.minimum(steps.counts[quiet], 4 * window).astype(np.float64)
    rows = rng.choice(quiet, background, p=weights / weights.sum())
    return {
        "reference": embed_windows(encoder, heads, pooled[torch.from_numpy(chosen)]).numpy(),
        "background": embed_windows(encoder, heads, random_windows(steps, rows, window, rng)).numpy(),
    }
