"""Puts the weights of an exported model directory back into the modules that are trained."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from .encoder import BATCH_NORM_EPSILON, AudioEncoder
from .heads import Heads

SMALLEST_GAIN = 1e-3
"""A batch norm with less gain than this gets a gain of 1, and the convolution before it what it multiplied."""


def unfold(convolution: nn.Conv2d, norm: nn.BatchNorm2d, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """The inverse of `export.folded`, with the scale that the norm has in the public checkpoint."""
    spread = torch.sqrt(norm.running_var + BATCH_NORM_EPSILON)
    norm.weight.copy_(torch.where((norm.weight / spread).abs() < SMALLEST_GAIN, spread, norm.weight))
    gain = norm.weight / spread
    convolution.weight.copy_(weight / gain[:, None, None, None])
    norm.bias.copy_(bias + norm.running_mean * gain)


@torch.no_grad()
def start_from(folder: Path, encoder: AudioEncoder, heads: Heads) -> None:
    """Fills encoder (which holds the public checkpoint) and heads with the weights of a model directory."""
    tensors = {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}

    def dense(name: str, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        unfold(convolution, norm, tensors[f"{name}.weight"].T.reshape(convolution.weight.shape), tensors[f"{name}.bias"])

    def linear(name: str, layer: nn.Linear, factor: float = 1.0) -> None:
        layer.weight.copy_(tensors[f"{name}.weight"].T / factor)
        layer.bias.copy_(tensors[f"{name}.bias"] / factor)

    first = encoder.layers[0]
    unfold(first.convolution, first.norm, tensors["features.0.weight"].permute(3, 2, 1, 0), tensors["features.0.bias"])
    for layer in encoder.layers[1:]:
        name, plan = layer.plan.name, layer.plan
        if plan.expand:
            dense(f"{name}.expand", layer.expand, layer.expand_norm)
        unfold(layer.depthwise, layer.depthwise_norm, tensors[f"{name}.depthwise.weight"].permute(2, 1, 0)[:, None], tensors[f"{name}.depthwise.bias"])
        if plan.squeeze_channels is not None:
            linear(f"{name}.squeeze.fc1", layer.squeeze.fc1)
            linear(f"{name}.squeeze.fc2", layer.squeeze.fc2)
        dense(f"{name}.project", layer.project, layer.project_norm)
    dense("features.16", encoder.last, encoder.last_norm)
    linear("hidden", encoder.hidden)
    linear("tags", encoder.tags)
    for name, pair in {"audio.joint": heads.audio_joint, "text.tags": heads.text_tags, "text.joint": heads.text_joint}.items():
        linear(f"{name}.0", pair.first)
        linear(f"{name}.1", pair.second, heads.sharpness if name == "text.tags" else 1.0)
    heads.tag_mean.copy_(tensors["tags.mean"])
    heads.tag_scale.copy_(tensors["tags.scale"])
    heads.factor.copy_(tensors["metric.factor"])
