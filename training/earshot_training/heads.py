"""Projections of audio and text into one space, and the metric on it.

Audio vector: tag_weight * s/|s| next to joint_weight * j/|j|, where s are the standardised tag log-odds of the
encoder and j a learned projection of embedding and hidden layer. Text vector: tag_weight * q/|q| next to
joint_weight * k/|k|, where q is a distribution over tags predicted from the sentence and k a learned projection.
A distribution over many tags would outweigh a peaked one when both are made unit vectors; `sharpness` (an inverse
temperature, folded into the last layer by the exporter) makes it peaked. The metric is Mahalanobis, M = L^T L; both vectors are shipped and compared as L x and L y.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .encoder import EMBEDDING_SIZE, HIDDEN_SIZE, TAG_COUNT


class TwoLayers(nn.Module):
    """Linear, GELU, (dropout while training), linear."""

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: float = 0.0):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.second(self.dropout(functional.gelu(self.first(value))))


class Heads(nn.Module):
    def __init__(
        self, text_size: int = 384, hidden_size: int = 512, joint_size: int = 256, embedding_size: int = 384,
        tag_weight: float = 1.0, joint_weight: float = 1.2, sharpness: float = 2.5, dropout: float = 0.2,
    ):  # fmt: skip
        super().__init__()
        self.tag_weight, self.joint_weight, self.sharpness = tag_weight, joint_weight, sharpness
        self.text_tags = TwoLayers(text_size, hidden_size, TAG_COUNT, dropout)
        self.text_joint = TwoLayers(text_size, hidden_size, joint_size, dropout)
        self.audio_joint = TwoLayers(EMBEDDING_SIZE + HIDDEN_SIZE, hidden_size, joint_size, dropout)
        self.register_buffer("tag_mean", torch.zeros(TAG_COUNT))
        self.register_buffer("tag_scale", torch.ones(TAG_COUNT))
        self.factor = nn.Parameter(torch.eye(embedding_size, TAG_COUNT + joint_size))

    def audio_blocks(self, pooled: torch.Tensor, hidden: torch.Tensor, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit tag block [..., 527] and unit joint block [..., D]."""
        standardised = (logits - self.tag_mean) * self.tag_scale
        joint = self.audio_joint(torch.cat([pooled, hidden], dim=-1))
        return functional.normalize(standardised, dim=-1), functional.normalize(joint, dim=-1)

    def text_blocks(self, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit tag block [..., 527] and unit joint block [..., D]."""
        tags = torch.softmax(self.sharpness * self.text_tags(text), dim=-1)
        return functional.normalize(tags, dim=-1), functional.normalize(self.text_joint(text), dim=-1)

    def join(self, blocks: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return torch.cat([self.tag_weight * blocks[0], self.joint_weight * blocks[1]], dim=-1)

    def audio_vector(self, pooled: torch.Tensor, hidden: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return self.join(self.audio_blocks(pooled, hidden, logits))

    def text_vector(self, text: torch.Tensor) -> torch.Tensor:
        return self.join(self.text_blocks(text))

    def embed(self, vector: torch.Tensor) -> torch.Tensor:
        """Into metric space: rows L x."""
        return vector @ self.factor.T


def similarity(audio: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """-(|a - t|^2) / 2 for every pair of rows, [audio, text]."""
    squares = audio.square().sum(-1)[:, None] + text.square().sum(-1)[None, :]
    return audio @ text.T - squares / 2
