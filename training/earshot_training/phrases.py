"""Sentence embeddings in groups: what may be said of a label, of a tag, of a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .corpus import CaptionTags, with_templates
from .text import TextEmbedder


class Phrases:
    """Sentence embeddings in groups, one group for what each of them may say."""

    def __init__(self, text: TextEmbedder, groups: list[list[str]]):
        self.vectors = torch.from_numpy(text([phrase for group in groups for phrase in group]))
        self.counts = np.array([len(group) for group in groups])
        self.starts = np.cumsum(self.counts) - self.counts

    def to(self, device: torch.device) -> "Phrases":
        self.vectors = self.vectors.to(device)
        return self

    def groups(self) -> tuple[torch.Tensor, ...]:
        return torch.split(self.vectors, self.counts.tolist())

    def pick(self, rng: np.random.Generator, which: np.ndarray | None = None) -> torch.Tensor:
        """One random embedding of each chosen group (of every group where none is chosen)."""
        which = np.arange(len(self.counts)) if which is None else which
        return self.vectors[torch.from_numpy(self.starts[which] + rng.integers(0, self.counts[which]))]


@dataclass
class TextBanks:
    """Sentence embeddings by what they name."""

    tag_vectors: Phrases
    label_names: list[str]
    label_vectors: Phrases
    captions: torch.Tensor
    caption_targets: torch.Tensor
    caption_weights: np.ndarray
    likeness_vectors: Phrases
    likeness_targets: torch.Tensor

    def to(self, device: torch.device) -> None:
        self.tag_vectors.to(device), self.label_vectors.to(device), self.likeness_vectors.to(device)
        self.captions, self.caption_targets = self.captions.to(device), self.caption_targets.to(device)
        self.likeness_targets = self.likeness_targets.to(device)


def text_banks(
    text: TextEmbedder, tag_phrases: list[list[str]], label_phrases: dict[str, list[str]], captions: CaptionTags, likenesses: dict[str, np.ndarray]
) -> TextBanks:
    return TextBanks(
        tag_vectors=Phrases(text, tag_phrases),
        label_names=list(label_phrases),
        label_vectors=Phrases(text, list(label_phrases.values())),
        captions=torch.from_numpy(text(captions.captions)),
        caption_targets=torch.from_numpy(captions.targets),
        caption_weights=captions.weights / captions.weights.sum(),
        likeness_vectors=Phrases(text, [with_templates([sound]) for sound in likenesses]),
        likeness_targets=torch.from_numpy(np.stack(list(likenesses.values()))),
    )
