"""The log-mel front end, exactly as the model's config.json states it.

Streaming friendly: no centring and no reflected padding, so that frame t depends on the samples
t * hop - 1 ... t * hop + window_length - 1 only, and a stream gives the same frames as a whole clip.
"""

from __future__ import annotations

import math

import numpy as np
import torch

FRONT_END = {
    "sample_rate": 32000,
    "pre_emphasis": 0.97,
    "window": "hann",
    "window_periodic": False,
    "window_length": 800,
    "fft_length": 1024,
    "hop_length": 320,
    "center": False,
    "power": 2.0,
    "mel_scale": "kaldi",
    "mel_count": 128,
    "minimum_frequency": 0.0,
    "maximum_frequency": 15000.0,
    "log_offset": 1e-5,
    "output_offset": 4.5,
    "output_scale": 0.2,
}


def frame_count(sample_count: int, front_end: dict = FRONT_END) -> int:
    """Number of frames that `sample_count` samples give."""
    window, hop = front_end["window_length"], front_end["hop_length"]
    return 0 if sample_count < window else 1 + (sample_count - window) // hop


def mel_filters(front_end: dict = FRONT_END) -> np.ndarray:
    """Kaldi mel triangles, float64 [fft_length / 2 + 1, mel_count]; the Nyquist row is zero."""
    to_mel = lambda frequency: 1127.0 * np.log1p(frequency / 700.0)
    low, high = to_mel(front_end["minimum_frequency"]), to_mel(front_end["maximum_frequency"])
    count, length = front_end["mel_count"], front_end["fft_length"]
    delta = (high - low) / (count + 1)
    left = low + delta * np.arange(count)
    mel = to_mel(front_end["sample_rate"] / length * np.arange(length // 2))[:, None]
    rising = (mel - left) / delta
    falling = (left + 2 * delta - mel) / delta
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.concatenate([triangles, np.zeros((1, count))])


class LogMel(torch.nn.Module):
    """Samples [..., n] -> log-mel frames [..., frame_count(n), mel_count], in the dtype of the module."""

    def __init__(self, front_end: dict = FRONT_END, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.front_end = front_end
        window = torch.hann_window(front_end["window_length"], periodic=front_end["window_periodic"], dtype=torch.float64)
        self.register_buffer("window", window.to(dtype))
        self.register_buffer("filters", torch.from_numpy(mel_filters(front_end)).to(dtype))

    def mel_power(self, samples: torch.Tensor) -> torch.Tensor:
        """Mel powers before the logarithm, [..., frames, mel_count]."""
        configuration = self.front_end
        samples = samples.to(self.window.dtype)
        previous = torch.nn.functional.pad(samples[..., :-1], (1, 0))
        emphasised = samples - configuration["pre_emphasis"] * previous
        frames = emphasised.unfold(-1, configuration["window_length"], configuration["hop_length"]) * self.window
        spectrum = torch.fft.rfft(frames, n=configuration["fft_length"])
        return (spectrum.real.square() + spectrum.imag.square()) @ self.filters

    def scale(self, power: torch.Tensor) -> torch.Tensor:
        """Logarithm and affine scaling of mel powers."""
        configuration = self.front_end
        return (torch.log(power + configuration["log_offset"]) + configuration["output_offset"]) * configuration["output_scale"]

    def power_of(self, logmel: torch.Tensor) -> torch.Tensor:
        """Inverse of `scale`, for augmentation in the linear domain."""
        configuration = self.front_end
        value = logmel.float() / configuration["output_scale"] - configuration["output_offset"]
        return (torch.exp(value) - configuration["log_offset"]).clamp_min(0)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        count = frame_count(samples.shape[-1], self.front_end)
        if count == 0:
            return samples.new_zeros(*samples.shape[:-1], 0, self.front_end["mel_count"])
        return self.scale(self.mel_power(samples))


SILENT_FRAME = (math.log(FRONT_END["log_offset"]) + FRONT_END["output_offset"]) * FRONT_END["output_scale"]
"""Value of every band of a frame of digital silence."""
