"""The torch front end against a direct numpy implementation of the published definition."""

import numpy as np
import pytest
import torch

from earshot_training.frontend import FRONT_END, LogMel, frame_count, mel_filters


def direct_logmel(samples: np.ndarray) -> np.ndarray:
    """One frame at a time, one filter at a time, float64."""
    y = samples.astype(np.float64).copy()
    y[1:] -= 0.97 * samples[:-1].astype(np.float64)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 799)
    mel = lambda f: 1127 * np.log(1 + f / 700)
    edges = np.linspace(mel(0), mel(15000), 130)
    frames = []
    for start in range(0, len(y) - 799, 320):
        power = np.abs(np.fft.rfft(y[start : start + 800] * window, 1024)) ** 2
        row = []
        for left, centre, right in zip(edges, edges[1:], edges[2:]):
            total = 0.0
            for bin in range(512):
                m = mel(bin * 32000 / 1024)
                if left < m < right:
                    total += power[bin] * ((m - left) / (centre - left) if m <= centre else (right - m) / (right - centre))
            row.append((np.log(total + 1e-5) + 4.5) / 5)
        frames.append(row)
    return np.array(frames)


@pytest.fixture
def samples() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal(4000) + 0.3 * np.sin(np.arange(4000) * 0.2)).astype(np.float32)


def test_equals_direct_implementation(samples):
    expected = direct_logmel(samples)
    assert np.abs(LogMel(dtype=torch.float64)(torch.from_numpy(samples)).numpy() - expected).max() < 1e-9
    assert np.abs(LogMel()(torch.from_numpy(samples)).numpy() - expected).max() < 1e-4


@pytest.mark.parametrize("count, frames", [(0, 0), (799, 0), (800, 1), (1119, 1), (1120, 2), (32000, 98)])
def test_frame_count(count, frames):
    assert frame_count(count) == frames
    assert LogMel()(torch.zeros(count)).shape == (frames, FRONT_END["mel_count"])


def test_silence_and_inverse(samples):
    frontend = LogMel(dtype=torch.float64)
    assert torch.allclose(frontend(torch.zeros(800)), torch.full((1, 128), (np.log(1e-5) + 4.5) / 5, dtype=torch.float64))
    power = frontend.mel_power(torch.from_numpy(samples))
    assert torch.allclose(frontend.power_of(frontend.scale(power)).double(), power, rtol=1e-3, atol=1e-6)


def test_last_bin_is_unused():
    assert mel_filters().shape == (513, 128) and not mel_filters()[-1].any()
