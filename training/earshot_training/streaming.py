"""Turning the published network into its streaming forms: one with little lookahead, and one that keeps the symmetric
time kernels and looks ahead as far as they reach."""

from __future__ import annotations

import torch

from .encoder import AudioEncoder, LayerPlan, load_published, published_plan, streaming_plan

LOOKAHEAD = [1, 1, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
"""Input columns of lookahead per layer: early ones symmetric (their columns are short), late ones causal."""

SYMMETRIC_LOOKAHEAD = [layer.lookahead * (2 if number > 13 else 1) for number, layer in enumerate(published_plan())]
"""Half of each kernel's reach; twice that in the two layers that are dilated in place of a stride."""

SQUEEZE_FRAMES = 240
"""Length of the running squeeze-and-excite window."""


def fold_future(weight: torch.Tensor, plan: LayerPlan, mode: str = "hold") -> torch.Tensor:
    """Moves a symmetric kernel [..., time] to the taps that the plan's lookahead allows.

    "shift" delays the whole kernel (same function, later), "drop" leaves out the taps beyond the lookahead, and
    "hold" adds them to the newest tap that is left: the future is taken to look like the present.
    """
    if plan.lookahead % plan.time_dilation:
        raise ValueError(f"{plan.name}: lookahead {plan.lookahead} is no multiple of the dilation {plan.time_dilation}")
    taps, half, ahead = plan.kernel, (plan.kernel - 1) // 2, plan.lookahead // plan.time_dilation
    if mode == "shift" or ahead >= half:
        return weight
    folded = torch.zeros_like(weight)
    for tap in range(taps):
        target = tap + half - ahead
        if target < taps:
            folded[..., target] += weight[..., tap]
        elif mode == "hold":
            folded[..., taps - 1] += weight[..., tap]
    return folded


def streaming_encoder(
    checkpoint: str, lookahead: list[int] = LOOKAHEAD, squeeze_frames: int = SQUEEZE_FRAMES, mode: str = "hold"
) -> AudioEncoder:
    """The streaming form, initialised from the public checkpoint."""
    encoder = load_published(AudioEncoder(streaming_plan(lookahead, squeeze_frames)), checkpoint)
    with torch.no_grad():
        for layer in encoder.layers:
            convolution = layer.convolution if layer.plan.name == "features.0" else layer.depthwise
            convolution.weight.copy_(fold_future(convolution.weight, layer.plan, mode))
    return encoder.eval()
