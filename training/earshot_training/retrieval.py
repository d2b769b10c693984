"""What a text recalls: the training sounds whose texts are near it (attention over sounds with captions; hybrid retrieval
of arXiv 2406.15897, without the query's own sound).

One key and one value for each label: the unit joint vector of its texts (label prompt and phrases), and the mean
embedding of its sounds, made a unit vector. A clip of several labels counts less for each. The runtime adds to a text's
embedding `weight` times the unit vector of softmax(keys . joint / temperature) . values.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from torch.nn import functional

from .bank import embed_windows
from .data import Clip
from .encoder import AudioEncoder
from .features import StepCache
from .heads import Heads
from .text import TextEmbedder, template


def recalled(joint: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, temperature: float, weight: float) -> torch.Tensor:
    """What is added to the embeddings of texts with these unit joint vectors [n, D]: [n, r], rows of length `weight`."""
    return weight * functional.normalize(torch.softmax(joint @ keys.T / temperature, dim=-1) @ values, dim=-1)


@torch.no_grad()
def build_retrieval(
    encoder: AudioEncoder, heads: Heads, steps: StepCache, clips: list[Clip], usable: np.ndarray, phrases: dict[str, list[str]], text: TextEmbedder
) -> dict[str, np.ndarray]:
    """Keys [labels, D] and values [labels, r] of the usable clips' labels."""
    rows = [row for row, clip in enumerate(clips) if clip.labels and usable[row] and steps.counts[row] > 0]
    names = sorted(Counter(label for row in rows for label in clips[row].labels))
    place = {name: index for index, name in enumerate(names)}
    counts = steps.counts[rows]
    embedded = embed_windows(encoder, heads, steps.means(np.array(rows), np.zeros(len(rows), np.int64), counts))
    share = torch.zeros(len(names), len(rows))
    for column, row in enumerate(rows):
        for label in clips[row].labels:
            share[place[label], column] = 1 / len(clips[row].labels) ** 2
    values = functional.normalize(share @ embedded / share.sum(1, keepdim=True), dim=1)

    joint_of = lambda sentences: heads.text_blocks(torch.from_numpy(np.asarray(text(sentences))))[1]
    prompt = joint_of([template(name) for name in names])
    phrased = torch.stack([functional.normalize(joint_of(phrases.get(name, [name])).sum(0), dim=0) for name in names])
    return {"keys": functional.normalize(prompt + phrased, dim=1).numpy(), "values": values.numpy()}
