"""Writes the model directory: config.json, model.safetensors (float16) and golden.safetensors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from .encoder import BATCH_NORM_EPSILON, AudioEncoder, lookahead_frames, step_frames
from .frontend import FRONT_END
from .heads import Heads, TwoLayers
from .reference import SECOND_PASS, ReferenceModel
from .text import EMBEDDING_SIZE, TEMPLATE, TextEmbedder, template, weights_sha256

GOLDEN_PROMPTS = [template(label) for label in ("dog", "glass breaking", "smoke alarm beeping")] + [
    "a kettle whistling", "rain on a window", "someone knocks on a wooden door", "silence", "Türklingel",
]  # fmt: skip


def folded(convolution: torch.nn.Conv2d, norm: torch.nn.BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """Weight [out, in / groups, frequency, time] and bias with the batch norm folded in."""
    gain = norm.weight / torch.sqrt(norm.running_var + BATCH_NORM_EPSILON)
    weight = convolution.weight * gain[:, None, None, None]
    return weight.detach().numpy(), (norm.bias - norm.running_mean * gain).detach().numpy()


def encoder_tensors(encoder: AudioEncoder) -> dict[str, np.ndarray]:
    """Tensors of the encoder under the names and in the layouts of the model directory."""
    tensors: dict[str, np.ndarray] = {}

    def dense(name: str, weight: np.ndarray, bias: np.ndarray) -> None:
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = weight.reshape(weight.shape[0], -1).T, bias

    def linear(name: str, layer: torch.nn.Linear) -> None:
        dense(name, layer.weight.detach().numpy(), layer.bias.detach().numpy())

    first = encoder.layers[0]
    weight, bias = folded(first.convolution, first.norm)
    tensors["features.0.weight"], tensors["features.0.bias"] = weight.transpose(3, 2, 1, 0), bias
    for layer in encoder.layers[1:]:
        name, plan = layer.plan.name, layer.plan
        if plan.expand:
            dense(f"{name}.expand", *folded(layer.expand, layer.expand_norm))
        weight, bias = folded(layer.depthwise, layer.depthwise_norm)
        tensors[f"{name}.depthwise.weight"] = weight[:, 0].transpose(2, 1, 0)
        tensors[f"{name}.depthwise.bias"] = bias
        if plan.squeeze_channels is not None:
            linear(f"{name}.squeeze.fc1", layer.squeeze.fc1)
            linear(f"{name}.squeeze.fc2", layer.squeeze.fc2)
        dense(f"{name}.project", *folded(layer.project, layer.project_norm))
    dense("features.16", *folded(encoder.last, encoder.last_norm))
    linear("hidden", encoder.hidden)
    linear("tags", encoder.tags)
    return tensors


def head_tensors(heads: Heads) -> dict[str, np.ndarray]:
    tensors = {"tags.mean": heads.tag_mean, "tags.scale": heads.tag_scale, "metric.factor": heads.factor}
    layers: dict[str, TwoLayers] = {"audio.joint": heads.audio_joint, "text.tags": heads.text_tags, "text.joint": heads.text_joint}
    for name, pair in layers.items():
        for number, linear in enumerate((pair.first, pair.second)):
            factor = heads.sharpness if (name, number) == ("text.tags", 1) else 1.0
            tensors[f"{name}.{number}.weight"], tensors[f"{name}.{number}.bias"] = factor * linear.weight.T, factor * linear.bias
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def layer_configuration(encoder: AudioEncoder, prefix: str) -> list[dict]:
    layers = []
    for plan in encoder.plan:
        common = {"name": prefix + plan.name, "input_channels": plan.input_channels, "output_channels": plan.output_channels, "kernel": plan.kernel,
                  "time_stride": plan.time_stride, "frequency_stride": plan.frequency_stride, "time_dilation": plan.time_dilation,
                  "lookahead": plan.lookahead, "activation": plan.activation}  # fmt: skip
        if plan.name == "features.0":
            layers.append({"kind": "convolution", **common})
        else:
            layers.append({"kind": "inverted_residual", **common, "expanded_channels": plan.expanded_channels, "squeeze_channels": plan.squeeze_channels,
                           "squeeze_window": plan.squeeze_window, "residual": plan.residual, "expand": plan.expand})  # fmt: skip
    layers.append({"name": prefix + "features.16", "kind": "pointwise", "input_channels": encoder.plan[-1].output_channels,
                   "output_channels": encoder.last.out_channels, "activation": "hardswish"})  # fmt: skip
    return layers


def encoder_configuration(encoder: AudioEncoder, center_frames: float, prefix: str = "") -> dict:
    """`prefix`: of the names of its tensors."""
    ahead = lookahead_frames(encoder.plan)
    return {
        "layers": layer_configuration(encoder, prefix),
        "step_frames": step_frames(encoder.plan),
        "embedding_size": encoder.last.out_channels,
        "lookahead_frames": ahead,
        "lookahead_samples": ahead * FRONT_END["hop_length"],
        "center_frames": round(center_frames, 1),
    }


def configuration(encoder: AudioEncoder, heads: Heads, second: AudioEncoder | None, settings: dict) -> dict:
    """config.json. `settings` holds the sections that calibration decides: window, transport, detection."""
    # A clip is embedded as a whole: the centre of the second pass is nobody's concern.
    passes = {} if second is None else {"second_pass": {"share": settings["second_share"], "encoder": encoder_configuration(second, 0.0, SECOND_PASS)}}
    return {
        "format": 1,
        "name": "earshot-mn04",
        "version": settings.get("version", "1"),
        "front_end": FRONT_END,
        "encoder": encoder_configuration(encoder, settings["center_frames"]),
        **passes,
        "window": settings["window"],
        "projection": {
            "tag_count": heads.text_tags.second.out_features,
            "hidden_size": encoder.hidden.out_features,
            "joint_size": heads.audio_joint.second.out_features,
            "tag_weight": heads.tag_weight,
            "joint_weight": heads.joint_weight,
            "embedding_size": heads.factor.shape[0],
            "retrieval": settings["retrieval"],
        },
        "transport": settings["transport"],
        "prompts": {"template": TEMPLATE},
        "detection": settings["detection"],
        "text": {"model": "all-MiniLM-L6-v2", "embedding_size": EMBEDDING_SIZE, "maximum_tokens": 256, "weights_sha256": weights_sha256()},
        "golden_prompts": GOLDEN_PROMPTS,
    }


def golden_samples(seconds: float = 3.0, seed: int = 5) -> np.ndarray:
    """A synthetic clip: a siren-like sweep, beeps, knocks and noise, with a stretch of silence."""
    rate = FRONT_END["sample_rate"]
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(time))
    sweep = 0.2 * np.sin(2 * np.pi * np.cumsum(700 + 300 * np.sin(2 * np.pi * 1.5 * time)) / rate) * (time < 1.1)
    beeps = 0.2 * np.sign(np.sin(2 * np.pi * 3100 * time)) * ((time % 0.25) < 0.1) * (time > 1.0) * (time < 1.7)
    knocks = sum(0.6 * noise * np.exp(-np.maximum(time - at, 0) * 90) * (time >= at) for at in (1.8, 1.98, 2.16))
    hiss = 0.02 * noise * (time > 2.4)
    return (sweep + beeps + knocks + hiss + 1e-3 * noise * (time < 2.3)).astype(np.float32)


def second_pass_tensors(encoder: AudioEncoder, heads: Heads) -> dict[str, np.ndarray]:
    """What the second encoder does not share with the stream's: all of itself, and how its tags are standardised."""
    own = head_tensors(heads)
    return {SECOND_PASS + name: tensor for name, tensor in (encoder_tensors(encoder) | {name: own[name] for name in ("tags.mean", "tags.scale")}).items()}


def export(
    folder: Path, encoder: AudioEncoder, heads: Heads, second: tuple[AudioEncoder, Heads] | None, bank: dict[str, np.ndarray],
    retrieval: dict[str, np.ndarray], settings: dict, text: TextEmbedder,
) -> None:  # fmt: skip
    """Writes the directory; goldens come from reading it back, so they see the float16 weights. `second`: the encoder of
    whole clips, and the heads with its standardisation of tags."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = encoder.cpu().to(memory_format=torch.contiguous_format).eval()
    tensors = encoder_tensors(encoder) | head_tensors(heads.cpu().eval()) | {f"bank.{name}": rows for name, rows in bank.items()}
    tensors |= {} if second is None else second_pass_tensors(*second)
    tensors |= {f"retrieval.{name}": rows for name, rows in retrieval.items()}
    half = {name: np.ascontiguousarray(tensor, dtype=np.float16) for name, tensor in tensors.items()}
    if not_finite := [name for name, tensor in half.items() if not np.isfinite(tensor).all()]:
        raise ValueError(f"not finite in float16: {not_finite}")
    save_file(half, folder / "model.safetensors", metadata={"format": "earshot 1"})
    (folder / "config.json").write_text(json.dumps(configuration(encoder, heads, None if second is None else second[0], settings), indent=1) + "\n")
    write_golden(folder, text)


def write_golden(folder: Path, text: TextEmbedder) -> None:
    """Input and outputs of every stage for a synthetic clip and a few prompts, computed in float64."""
    model, samples = ReferenceModel(folder, torch.float64), golden_samples()
    with torch.no_grad():
        tensors = model.trace(samples, np.asarray(text(GOLDEN_PROMPTS)))
    save_file({name: np.ascontiguousarray(value, dtype=np.float32) for name, value in tensors.items()}, folder / "golden.safetensors")
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # the writer makes them readable by their owner only
