"""The audio encoder: EfficientAT mn04 as published, and its streaming form.

Both hold the same parameters, under the names of the public checkpoint, so that weights move freely between
them. The published form pads symmetrically in time and squeezes over the whole clip. The streaming form has
per-layer lookahead, zero padding on the left only, squeeze-and-excite over a running window of past columns,
and no stride in its last strided block (its later taps are dilated instead: the same function, at a denser step).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

EMBEDDING_SIZE, HIDDEN_SIZE, TAG_COUNT = 384, 512, 527
BATCH_NORM_EPSILON = 1e-3


@dataclass(frozen=True)
class LayerPlan:
    """Shape and time semantics of one layer; names as in config.json."""

    name: str
    kernel: int
    input_channels: int
    expanded_channels: int
    output_channels: int
    squeeze_channels: int | None
    activation: str
    time_stride: int
    frequency_stride: int
    time_dilation: int = 1
    lookahead: int = 0
    squeeze_window: int | None = None

    @property
    def expand(self) -> bool:
        return self.expanded_channels != self.input_channels

    @property
    def residual(self) -> bool:
        return self.time_stride == 1 and self.frequency_stride == 1 and self.input_channels == self.output_channels

    @property
    def reach(self) -> int:
        """Columns between the first and the last tap."""
        return (self.kernel - 1) * self.time_dilation


def _divisible(value: float, divisor: int = 8) -> int:
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


MOBILENET_V3_LARGE = [
    # kernel, expand, out, squeeze, activation, stride
    (3, 16, 16, False, "relu", 1), (3, 64, 24, False, "relu", 2), (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2), (5, 120, 40, True, "relu", 1), (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hardswish", 2), (3, 200, 80, False, "hardswish", 1), (3, 184, 80, False, "hardswish", 1),
    (3, 184, 80, False, "hardswish", 1), (3, 480, 112, True, "hardswish", 1), (3, 672, 112, True, "hardswish", 1),
    (5, 672, 160, True, "hardswish", 2), (5, 960, 160, True, "hardswish", 1), (5, 960, 160, True, "hardswish", 1),
]  # fmt: skip


def published_plan(width: float = 0.4) -> list[LayerPlan]:
    """Layers of mn04 with its symmetric padding expressed as lookahead (half of each kernel's reach)."""
    channels = _divisible(16 * width)
    plan = [LayerPlan("features.0", 3, 1, 1, channels, None, "hardswish", 2, 2, lookahead=1)]
    for number, (kernel, expand, out, squeeze, activation, stride) in enumerate(MOBILENET_V3_LARGE, start=1):
        expanded, output = _divisible(expand * width), _divisible(out * width)
        plan.append(
            LayerPlan(
                f"features.{number}", kernel, channels, expanded, output, _divisible(expanded // 4) if squeeze else None,
                activation, stride, stride, lookahead=(kernel - 1) // 2,
            )
        )  # fmt: skip
        channels = output
    return plan


def streaming_plan(lookahead: list[int], squeeze_frames: int, dense_from: int = 13) -> list[LayerPlan]:
    """The published layers with `lookahead[i]` input columns for layer i, squeeze windows of about
    `squeeze_frames` frames, and no time stride in layer `dense_from` (dilation after it)."""
    plan, column, dilation = [], 1, 1
    for number, layer in enumerate(published_plan()):
        stride = 1 if number == dense_from else layer.time_stride
        output_column = column * stride
        window = None if layer.squeeze_channels is None else max(1, round(squeeze_frames / output_column))
        plan.append(
            replace(layer, time_stride=stride, time_dilation=dilation, lookahead=lookahead[number], squeeze_window=window)
        )
        if number == dense_from:
            dilation = layer.time_stride
        column = output_column
    return plan


def step_frames(plan: list[LayerPlan]) -> int:
    """Frames from one step to the next."""
    frames = 1
    for layer in plan:
        frames *= layer.time_stride
    return frames


def lookahead_frames(plan: list[LayerPlan]) -> int:
    """Frames after the first one of a step's own column that the step waits for."""
    total, column = 0, 1
    for layer in plan:
        total += layer.lookahead * column
        column *= layer.time_stride
    return total


def activate(value: torch.Tensor, name: str) -> torch.Tensor:
    return functional.relu(value) if name == "relu" else functional.hardswish(value)


def normalised(value: torch.Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> torch.Tensor:
    """Convolution and batch norm with its fixed statistics, as one convolution (a sixth faster to train)."""
    gain = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    weight, bias = convolution.weight * gain[:, None, None, None], norm.bias - norm.running_mean * gain
    return functional.conv2d(value, weight, bias, convolution.stride, 0, convolution.dilation, convolution.groups)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int, squeeze: int):
        super().__init__()
        self.fc1 = nn.Linear(channels, squeeze)
        self.fc2 = nn.Linear(squeeze, channels)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Pooled activations [..., channels] -> scales [..., channels]."""
        return torch.sigmoid(self.fc2(functional.relu(self.fc1(pooled))))


def running_mean(columns: torch.Tensor, window: int) -> torch.Tensor:
    """Mean over the last min(j + 1, window) columns of [batch, time, channels], for every column j."""
    total = torch.cumsum(columns.double(), dim=1)
    count = columns.shape[1]
    if count > window:
        total = torch.cat([total[:, :window], total[:, window:] - total[:, :-window]], dim=1)
    sizes = torch.arange(1, count + 1, device=columns.device).clamp_max(window)
    return (total / sizes[:, None]).to(columns.dtype)


class ConvolutionLayer(nn.Module):
    """features.0: a plain convolution over [batch, 1, mel, time]."""

    def __init__(self, plan: LayerPlan):
        super().__init__()
        self.plan = plan
        self.convolution = nn.Conv2d(1, plan.output_channels, plan.kernel, stride=(plan.frequency_stride, plan.time_stride), bias=False)
        self.norm = nn.BatchNorm2d(plan.output_channels, eps=BATCH_NORM_EPSILON)

    def forward(self, value: torch.Tensor, published: bool) -> torch.Tensor:
        value = normalised(pad(value, self.plan, published), self.convolution, self.norm)
        return activate(value, self.plan.activation)


class InvertedResidual(nn.Module):
    """features.1 ... features.15 over [batch, channels, frequency, time]."""

    def __init__(self, plan: LayerPlan):
        super().__init__()
        self.plan = plan
        width = plan.expanded_channels
        if plan.expand:
            self.expand = nn.Conv2d(plan.input_channels, width, 1, bias=False)
            self.expand_norm = nn.BatchNorm2d(width, eps=BATCH_NORM_EPSILON)
        self.depthwise = nn.Conv2d(
            width, width, plan.kernel, stride=(plan.frequency_stride, plan.time_stride),
            dilation=(1, plan.time_dilation), groups=width, bias=False,
        )  # fmt: skip
        self.depthwise_norm = nn.BatchNorm2d(width, eps=BATCH_NORM_EPSILON)
        if plan.squeeze_channels is not None:
            self.squeeze = SqueezeExcite(width, plan.squeeze_channels)
        self.project = nn.Conv2d(width, plan.output_channels, 1, bias=False)
        self.project_norm = nn.BatchNorm2d(plan.output_channels, eps=BATCH_NORM_EPSILON)

    def forward(self, value: torch.Tensor, published: bool) -> torch.Tensor:
        plan, branch = self.plan, value
        if plan.expand:
            branch = activate(normalised(branch, self.expand, self.expand_norm), plan.activation)
        branch = normalised(pad(branch, plan, published), self.depthwise, self.depthwise_norm)
        branch = activate(branch, plan.activation)
        if plan.squeeze_channels is not None:
            if published:
                scales = self.squeeze(branch.mean(dim=(2, 3)))[:, :, None, None]
            else:
                scales = self.squeeze(running_mean(branch.mean(dim=2).transpose(1, 2), plan.squeeze_window))
                scales = scales.transpose(1, 2)[:, :, None, :]
            branch = branch * scales
        branch = normalised(branch, self.project, self.project_norm)
        return branch + value[..., : branch.shape[-1]] if plan.residual else branch


def pad(value: torch.Tensor, plan: LayerPlan, published: bool) -> torch.Tensor:
    """Zero padding of the input of a k-tap layer. Streaming: on the left only, less what is looked ahead."""
    side = (plan.kernel - 1) // 2
    left, right = (plan.reach // 2, plan.reach // 2) if published else (plan.reach - plan.lookahead, 0)
    return functional.pad(value, (left, right, side, side))


class AudioEncoder(nn.Module):
    """Log-mel frames [batch, time, mel] -> step embeddings [batch, steps, 384]; tag logits from pooled ones."""

    def __init__(self, plan: list[LayerPlan], published: bool = False):
        super().__init__()
        self.plan, self.published = plan, published
        self.layers = nn.ModuleList([ConvolutionLayer(plan[0]), *(InvertedResidual(layer) for layer in plan[1:])])
        self.last = nn.Conv2d(plan[-1].output_channels, EMBEDDING_SIZE, 1, bias=False)
        self.last_norm = nn.BatchNorm2d(EMBEDDING_SIZE, eps=BATCH_NORM_EPSILON)
        self.hidden = nn.Linear(EMBEDDING_SIZE, HIDDEN_SIZE)
        self.tags = nn.Linear(HIDDEN_SIZE, TAG_COUNT)

    @property
    def plan_step(self) -> int:
        return step_frames(self.plan)

    def run(self, value: torch.Tensor, first: int = 0, last: int | None = None) -> torch.Tensor:
        """Layers first ..< last on their own layout [batch, channels, frequency, time]."""
        for layer in self.layers[first:last]:
            value = layer(value, self.published)
        return value

    def finish(self, value: torch.Tensor) -> torch.Tensor:
        value = functional.hardswish(normalised(value, self.last, self.last_norm))
        return value.mean(dim=2).transpose(1, 2)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.finish(self.run(frames.transpose(1, 2)[:, None]))

    def hidden_of(self, pooled: torch.Tensor) -> torch.Tensor:
        return functional.hardswish(self.hidden(pooled))

    def logits_of(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.tags(hidden)

    def train(self, mode: bool = True) -> "AudioEncoder":
        """Batch norm statistics stay fixed, whatever the mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def checkpoint_names(plan: list[LayerPlan]) -> dict[str, str]:
    """Names of AudioEncoder parameters -> names in the public checkpoint."""
    norm_parts = ("weight", "bias", "running_mean", "running_var")
    names = {"layers.0.convolution.weight": "features.0.0.weight"}
    names |= {f"layers.0.norm.{part}": f"features.0.1.{part}" for part in norm_parts}
    for number, layer in enumerate(plan[1:], start=1):
        block = 0
        for part in ("expand", "depthwise", "squeeze", "project"):
            if part == "expand" and not layer.expand or part == "squeeze" and layer.squeeze_channels is None:
                continue
            ours, theirs = f"layers.{number}.{part}", f"features.{number}.block.{block}"
            if part == "squeeze":
                for linear in ("fc1", "fc2"):
                    for kind in ("weight", "bias"):
                        names[f"{ours}.{linear}.{kind}"] = f"{theirs}.conc_se_layers.0.{linear}.{kind}"
            else:
                names[f"{ours}.weight"] = f"{theirs}.0.weight"
                names |= {f"{ours}_norm.{kind}": f"{theirs}.1.{kind}" for kind in norm_parts}
            block += 1
    names["last.weight"] = "features.16.0.weight"
    names |= {f"last_norm.{part}": f"features.16.1.{part}" for part in norm_parts}
    for ours, theirs in (("hidden", "classifier.2"), ("tags", "classifier.5")):
        names |= {f"{ours}.{kind}": f"{theirs}.{kind}" for kind in ("weight", "bias")}
    return names


def measured_centre(encoder: AudioEncoder, frames: torch.Tensor) -> float:
    """Middle of what step 0 describes, as an index of frames: the centroid of the gradient of the last step with respect to the
    frames [batch, time, mel], averaged over random projections of the step, less the frames of the steps before."""
    frames = frames.clone().requires_grad_(True)
    steps = encoder(frames)
    generator = torch.Generator().manual_seed(0)
    energy = torch.zeros(frames.shape[1])
    for _ in range(8):
        signs = torch.randint(0, 2, (steps.shape[-1],), generator=generator) * 2.0 - 1.0
        gradient = torch.autograd.grad((steps[:, -1] @ signs).sum(), frames, retain_graph=True)[0]
        energy += gradient.square().sum(dim=(0, 2))
    time = torch.arange(frames.shape[1])
    return ((energy * time).sum() / energy.sum()).item() - (steps.shape[1] - 1) * step_frames(encoder.plan)


def load_published(encoder: AudioEncoder, checkpoint: str) -> AudioEncoder:
    """Fills an encoder (published or streaming) with the public checkpoint; shapes must agree exactly."""
    tensors = load_file(checkpoint)
    state = {ours: tensors[theirs] for ours, theirs in checkpoint_names(encoder.plan).items()}
    missing, unexpected = encoder.load_state_dict(state, strict=False)
    if unexpected or any("num_batches_tracked" not in name for name in missing):
        raise ValueError(f"{checkpoint}: tensors missing for {missing}, not used {unexpected}")
    return encoder


def teacher(checkpoint: str) -> AudioEncoder:
    """The published network, in evaluation mode."""
    return load_published(AudioEncoder(published_plan(), published=True), checkpoint).eval().requires_grad_(False)
