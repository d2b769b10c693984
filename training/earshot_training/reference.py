"""Runs an exported model directory, in batch and in streaming form, from its files alone.

Independent of the training modules: it reads config.json and the float16 tensors, and works on columns
[time, frequency, channels] as the Swift runtime does. It is the reference for the golden tensors and for the
figures in MODEL_CARD.md.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional

from .frontend import LogMel
from .retrieval import recalled


SECOND_PASS = "second_pass."
"""What the names of the second encoder's tensors begin with."""


def _activate(value: torch.Tensor, name: str) -> torch.Tensor:
    return functional.relu(value) if name == "relu" else functional.hardswish(value)


def _taps(columns: torch.Tensor, layer: dict, output_count: int) -> list[torch.Tensor]:
    """For each time tap the input columns of all outputs; `columns` starts with the zero padding."""
    stride, dilation = layer["time_stride"], layer["time_dilation"]
    last = stride * (output_count - 1) + 1
    return [columns[i * dilation : i * dilation + last : stride] for i in range(layer["kernel"])]


def _frequency_taps(columns: torch.Tensor, layer: dict) -> list[torch.Tensor]:
    """For each frequency tap the bands that it multiplies, zero padded on both sides."""
    side, stride, bands = (layer["kernel"] - 1) // 2, layer["frequency_stride"], columns.shape[1]
    count = (bands + 2 * side - layer["kernel"]) // stride + 1
    padded = functional.pad(columns, (0, 0, side, side))
    return [padded[:, i : i + stride * (count - 1) + 1 : stride] for i in range(layer["kernel"])]


class Layer:
    """One layer with its streaming state. A batch run is one push on a fresh state."""

    def __init__(self, layer: dict, tensors: dict[str, torch.Tensor]):
        self.layer, prefix = layer, layer["name"] + "."
        self.tensors = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        self.reset()

    def reset(self, keep_means: bool = False) -> None:
        self.history: torch.Tensor | None = None  # input columns of the kernel, zero padding first
        self.skip: list[torch.Tensor] = []  # residual input columns still waiting for their branch
        if not keep_means:
            self.means: torch.Tensor | None = None  # frequency means of past depthwise outputs

    def push(self, columns: torch.Tensor) -> torch.Tensor:
        """New input columns [n, frequency, channels] -> the output columns that they complete."""
        layer = self.layer
        if layer["kind"] == "pointwise":
            return _activate(columns @ self.tensors["weight"] + self.tensors["bias"], layer["activation"])
        if layer["kind"] == "convolution":
            return self._convolve(columns, self._full)
        value = columns
        if layer["expand"]:
            value = _activate(value @ self.tensors["expand.weight"] + self.tensors["expand.bias"], layer["activation"])
        if layer["residual"]:
            self.skip.append(columns)
        return self._project(self._convolve(value, self._depthwise))

    def finish(self) -> torch.Tensor:
        """The output columns that wait for what they look ahead to, with zeros in its place where the kernel reads."""
        layer = self.layer
        zeros = self.history.new_zeros(layer["lookahead"], *self.history.shape[1:])
        if layer["kind"] == "convolution":
            return self._convolve(zeros, self._full)
        return self._project(self._convolve(zeros, self._depthwise))

    def _project(self, value: torch.Tensor) -> torch.Tensor:
        """What follows the depthwise convolution."""
        layer = self.layer
        if layer["squeeze_channels"] is not None:
            value = value * self._squeeze(value)[:, None, :]
        value = value @ self.tensors["project.weight"] + self.tensors["project.bias"]
        if layer["residual"]:
            waiting = torch.cat(self.skip)
            value, self.skip = value + waiting[: len(value)], [waiting[len(value) :]]
        return value

    def _convolve(self, columns: torch.Tensor, kernel) -> torch.Tensor:
        layer = self.layer
        reach = (layer["kernel"] - 1) * layer["time_dilation"]
        if self.history is None:
            self.history = columns.new_zeros(reach - layer["lookahead"], *columns.shape[1:])
        held = torch.cat([self.history, columns])
        count = max(0, (len(held) - reach - 1) // layer["time_stride"] + 1) if len(held) > reach else 0
        self.history = held[count * layer["time_stride"] :]
        return kernel(held, count)

    def _full(self, held: torch.Tensor, count: int) -> torch.Tensor:
        weight = self.tensors["weight"]  # [kt, kf, in, out]
        total = sum(
            band @ weight[i, k] for i, tap in enumerate(_taps(held, self.layer, count)) for k, band in enumerate(_frequency_taps(tap, self.layer))
        ) if count else held.new_zeros(0, held.shape[1] // self.layer["frequency_stride"], weight.shape[3])  # fmt: skip
        return _activate(total + self.tensors["bias"], self.layer["activation"])

    def _depthwise(self, held: torch.Tensor, count: int) -> torch.Tensor:
        weight = self.tensors["depthwise.weight"]  # [kt, kf, channels]
        total = sum(
            band * weight[i, k] for i, tap in enumerate(_taps(held, self.layer, count)) for k, band in enumerate(_frequency_taps(tap, self.layer))
        ) if count else held.new_zeros(0, held.shape[1] // self.layer["frequency_stride"], weight.shape[2])  # fmt: skip
        return _activate(total + self.tensors["depthwise.bias"], self.layer["activation"])

    def _squeeze(self, value: torch.Tensor) -> torch.Tensor:
        window, past = self.layer["squeeze_window"], 0 if self.means is None else len(self.means)
        means = value.mean(dim=1)
        means = means if self.means is None else torch.cat([self.means, means])
        pooled = [means[max(0, end - window) : end].mean(dim=0) for end in range(past + 1, len(means) + 1)]
        self.means = means[-(window - 1) :] if window > 1 else means[:0]
        stacked = torch.stack(pooled) if pooled else means[:0]
        inner = functional.relu(stacked @ self.tensors["squeeze.fc1.weight"] + self.tensors["squeeze.fc1.bias"])
        return torch.sigmoid(inner @ self.tensors["squeeze.fc2.weight"] + self.tensors["squeeze.fc2.bias"])


class ReferenceEncoder:
    """One encoder of an exported model."""

    def __init__(self, configuration: dict, tensors: dict[str, torch.Tensor], frontend: LogMel):
        self.configuration, self.frontend = configuration, frontend
        self.layers = [Layer(layer, tensors) for layer in configuration["layers"]]

    def reset(self, keep_means: bool = False) -> None:
        for layer in self.layers:
            layer.reset(keep_means)

    def push(self, frames: torch.Tensor) -> torch.Tensor:
        """New log-mel frames [n, mel] -> new step embeddings [s, 384]."""
        columns = frames[:, :, None]
        for layer in self.layers:
            columns = layer.push(columns)
        return columns.mean(dim=1)

    def steps(self, samples: np.ndarray) -> torch.Tensor:
        """Steps of a clip between digital silence."""
        self.reset()
        tail = np.zeros(self.configuration["lookahead_samples"], samples.dtype)
        return self.push(self.frontend(torch.from_numpy(np.concatenate([samples, tail]))))

    def _whole_steps(self, samples: np.ndarray) -> torch.Tensor:
        """The frames of a clip, whole steps of them, at least one."""
        front_end, size = self.frontend.front_end, self.configuration["step_frames"]
        shortest = front_end["window_length"] + (size - 1) * front_end["hop_length"]
        frames = self.frontend(torch.from_numpy(np.pad(samples, (0, max(0, shortest - len(samples))))))
        return frames[: len(frames) // size * size]

    def _steps_in(self, seconds: float) -> float:
        front_end = self.frontend.front_end
        return seconds * front_end["sample_rate"] / front_end["hop_length"] / self.configuration["step_frames"]

    def steps_in_context(self, samples: np.ndarray, least: float = 5.0, most: float = 10.0) -> torch.Tensor:
        """Steps of a clip heard as one turn of a recording that repeats its frames (whole steps of them). As many turns as
        last `least` seconds go before, so that the running windows are full, or the last `most` seconds of one; they give
        no steps. Its beginning follows."""
        frames, size = self._whole_steps(samples), self.configuration["step_frames"]
        count = len(frames) // size
        before = min(math.ceil(self._steps_in(least) / count) * count, int(self._steps_in(most)))
        ahead = self.configuration["lookahead_samples"] // self.frontend.front_end["hop_length"]
        self.reset()
        return self.push(frames[torch.arange(-before * size, len(frames) + ahead) % len(frames)])[before:]

    def padded_steps(self, samples: np.ndarray, most: float = 10.0) -> torch.Tensor:
        """Steps of a clip between zeros in every layer, as the published network pads. Its last `most` seconds are heard
        before, for the running means of squeeze-and-excite."""
        frames = self._whole_steps(samples)
        self.reset()
        self._between_zeros(frames[-int(self._steps_in(most)) * self.configuration["step_frames"] :])
        self.reset(keep_means=True)
        return self._between_zeros(frames)

    def _between_zeros(self, frames: torch.Tensor) -> torch.Tensor:
        columns = frames[:, :, None]
        for layer in self.layers:
            columns = layer.push(columns)
            if "lookahead" in layer.layer:
                columns = torch.cat([columns, layer.finish()])
        return columns.mean(dim=1)


class ReferenceModel:
    """An exported model; `dtype` is that of the computation."""

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32):
        self.configuration = json.loads((folder / "config.json").read_text())
        self.tensors = {name: value.to(dtype) for name, value in load_file(folder / "model.safetensors").items()}
        self.dtype = dtype
        self.frontend = LogMel(self.configuration["front_end"], dtype)
        self.encoder = ReferenceEncoder(self.configuration["encoder"], self.tensors, self.frontend)
        second = self.configuration.get("second_pass")
        self.second = None if second is None else ReferenceEncoder(second["encoder"], self.tensors, self.frontend)

    def _linear(self, value: torch.Tensor, name: str) -> torch.Tensor:
        return value @ self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]

    def _two_layers(self, value: torch.Tensor, name: str) -> torch.Tensor:
        return self._linear(functional.gelu(self._linear(value, f"{name}.0")), f"{name}.1")

    def _join(self, tags: torch.Tensor, joint: torch.Tensor) -> torch.Tensor:
        weights = self.configuration["projection"]
        return torch.cat(
            [weights["tag_weight"] * functional.normalize(tags, dim=-1), weights["joint_weight"] * functional.normalize(joint, dim=-1)], dim=-1
        )

    # `prefix` of an encoder's own tensors: "" for the stream's, SECOND_PASS for the other.

    def hidden(self, pooled: torch.Tensor, prefix: str = "") -> torch.Tensor:
        return functional.hardswish(self._linear(pooled, f"{prefix}hidden"))

    def tag_logits(self, pooled: torch.Tensor, prefix: str = "") -> torch.Tensor:
        return self._linear(self.hidden(pooled, prefix), f"{prefix}tags")

    def audio_vector(self, pooled: torch.Tensor, prefix: str = "") -> torch.Tensor:
        standardised = (self.tag_logits(pooled, prefix) - self.tensors[f"{prefix}tags.mean"]) * self.tensors[f"{prefix}tags.scale"]
        return self._join(standardised, self._two_layers(torch.cat([pooled, self.hidden(pooled, prefix)], dim=-1), "audio.joint"))

    def text_vector(self, text: torch.Tensor) -> torch.Tensor:
        return self._join(torch.softmax(self._two_layers(text, "text.tags"), dim=-1), self._two_layers(text, "text.joint"))

    def embed(self, vector: torch.Tensor) -> torch.Tensor:
        return vector @ self.tensors["metric.factor"].T

    def embed_audio(self, pooled: torch.Tensor, prefix: str = "") -> torch.Tensor:
        return self.embed(self.audio_vector(pooled.to(self.dtype), prefix))

    def embed_clip(self, samples: np.ndarray) -> torch.Tensor:
        """A whole clip: in context by the stream's encoder, between zeros by the second; the mean of both."""
        embedding = self.embed_audio(self.encoder.steps_in_context(samples).mean(dim=0))
        if self.second is None:
            return embedding
        second = self.embed_audio(self.second.padded_steps(samples).mean(dim=0), SECOND_PASS)
        return torch.lerp(embedding, second, self.configuration["second_pass"]["share"])

    def embed_text(self, text: torch.Tensor) -> torch.Tensor:
        embedding = self.embed(self.text_vector(text.to(self.dtype)))
        settings = self.configuration["projection"].get("retrieval")
        if settings is None:
            return embedding
        joint = functional.normalize(self._two_layers(text.to(self.dtype), "text.joint"), dim=-1)
        return embedding + recalled(joint, self.tensors["retrieval.keys"], self.tensors["retrieval.values"], **settings)

    def trace(self, samples: np.ndarray, text: np.ndarray) -> dict[str, np.ndarray]:
        """Everything that golden.safetensors holds. Its samples include the zeros of the lookahead."""
        encoder, clip = self.encoder, samples
        encoder.reset()
        tail = np.zeros(encoder.configuration["lookahead_samples"], samples.dtype)
        samples = np.concatenate([samples, tail])
        frames = self.frontend(torch.from_numpy(samples))
        result, columns = {"samples": samples, "logmel": frames}, frames[:, :, None]
        for layer in encoder.layers:
            columns = layer.push(columns)
            result[layer.layer["name"]] = columns
        steps = columns.mean(dim=1)
        pooled = steps.mean(dim=0)
        prompts = torch.from_numpy(text)
        result |= {"steps": steps, "pooled": pooled, "tags": self.tag_logits(pooled), "audio_vector": self.audio_vector(pooled),
                   "audio_embedding": self.embed_audio(pooled), "prompt_embeddings": prompts, "text_embedding": self.embed_text(prompts), "clip_embedding": self.embed_clip(clip)}  # fmt: skip
        if self.second is not None:
            result["second_pass.steps"] = self.second.steps(clip)
        return {name: np.asarray(value) for name, value in result.items()}
