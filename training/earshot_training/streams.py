"""Simulated streams to train on: a training clip somewhere in a recording, as log-mel frames, and the windows that say
what is to be heard where.

Everything is mixed as mel power, from the decoded frames of the clips. A stream is one of
- `clip`: the clip between digital silence, as in padded recordings,
- `repeat`: the clip again and again, so that the running windows of the encoder are full of it,
- `scene`: a background, in which the clip begins at some moment, 0 to 25 dB above it.
Each stream has a main window (all or some of the clip), where there is room an onset window (short, soon after the clip
has begun: what an event must be recognised from in time) and in scenes a background window (short, before the clip).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from .bank import is_background
from .data import Clip, FrameCache
from .encoder import LayerPlan, lookahead_frames, step_frames
from .frontend import FRONT_END, SILENT_FRAME

MAIN, ONSET, BACKGROUND = range(3)


@dataclass
class StreamBatch:
    """Frames [batch, time, mel] and windows, one per row of the arrays: which stream, first and past-the-last step, kind
    (MAIN, ONSET, BACKGROUND), and the clips in it [windows, 2], -1 for none."""

    frames: torch.Tensor
    stream: torch.Tensor
    first: torch.Tensor
    last: torch.Tensor
    kind: torch.Tensor
    clips: torch.Tensor

    def to(self, device: torch.device) -> "StreamBatch":
        return StreamBatch(**{name: value.to(device) for name, value in vars(self).items()})


def power_of(frames: np.ndarray) -> np.ndarray:
    """Log-mel frames -> mel power."""
    value = np.asarray(frames, np.float32) / FRONT_END["output_scale"] - FRONT_END["output_offset"]
    return np.maximum(np.exp(value) - FRONT_END["log_offset"], 0)


def level(power: np.ndarray) -> float:
    """Mean power of the louder half of the frames: what counts in sounds with pauses."""
    frames = power.mean(axis=1)
    return float(np.sort(frames)[len(frames) // 2 :].mean()) + 1e-7


def mel_band(frequency: float) -> int:
    """The band whose centre is nearest to a frequency in Hz."""
    to_mel = lambda value: 1127.0 * np.log1p(value / 700.0)
    low, high = to_mel(FRONT_END["minimum_frequency"]), to_mel(FRONT_END["maximum_frequency"])
    count = FRONT_END["mel_count"]
    return int(np.clip(round((to_mel(frequency) - low) / (high - low) * (count + 1)) - 1, 0, count - 1))


class StreamSimulator(Dataset):
    """Batch number i is a function of the seed and i alone."""

    def __init__(self, cache: FrameCache, clips: list[Clip], weights: np.ndarray, plan: list[LayerPlan], settings: dict):
        cache.into_memory()
        self.cache, self.settings = cache, settings
        self.weights = weights / weights.sum()
        self.backgrounds = np.array([row for row, clip in enumerate(clips) if is_background(clip) and settings["usable"][row]])
        counts = np.array([cache.frame_count(int(row)) for row in self.backgrounds], np.float64)
        self.background_weights = np.minimum(counts, 1500) / np.minimum(counts, 1500).sum()
        self.step, self.ahead = step_frames(plan), lookahead_frames(plan)
        self.steps = settings["frames"] // self.step
        self.length = self.steps * self.step + self.ahead
        self.window = settings["short_window"]

    def __len__(self) -> int:
        return self.settings["steps"]

    def __getitem__(self, index: int) -> StreamBatch:
        rng = np.random.default_rng((self.settings["seed"], index))
        frames, windows = [], []
        for stream in range(self.settings["batch"]):
            power, found = self.stream(rng)
            frames.append(power)
            windows += [(stream, *window) for window in found]
        frames = self.recorded(np.stack(frames), rng)
        stream, first, last, kind, one, two = torch.tensor(windows).T
        return StreamBatch(torch.from_numpy(frames), stream, first, last, kind, torch.stack([one, two], dim=1))

    # One stream

    def stream(self, rng: np.random.Generator) -> tuple[np.ndarray, list[tuple]]:
        """Mel power [length, mel] and its windows (first, last, kind, clip, other clip)."""
        mode = rng.choice(["clip", "repeat", "scene"], p=self.settings["modes"])
        clip, other = int(rng.choice(len(self.weights), p=self.weights)), -1
        sound = self.sound(clip, rng)
        if rng.random() < self.settings["mixed"]:
            other = int(rng.choice(len(self.weights), p=self.weights))
            second = self.sound(other, rng)
            decibels = rng.uniform(-12, 9)
            gain = level(sound) / level(second) * 10 ** (decibels / 10)
            sound = self.overlaid(sound, second * gain, rng)
            other = other if decibels > -9 else -1
        power, size = np.zeros((self.length, sound.shape[1]), np.float32), self.length - self.ahead
        if mode == "repeat":
            sound = sound[: size // 2]
            power[:] = np.tile(sound, (-(-self.length // len(sound)), 1))[: self.length]
            begin, end = size // 2, size
        else:
            sound = sound[:size]
            latest = max(0, size - min(len(sound), 150))
            begin = 0 if mode == "clip" and rng.random() < 0.5 else int(rng.integers(0, latest + 1))
            end = min(size, begin + len(sound))
            power[begin : begin + len(sound)] += sound[: self.length - begin]
        if mode == "scene":
            ground = self.ground(rng)
            power += ground * (level(sound) / level(ground) * 10 ** (-rng.uniform(0, 25) / 10))
        return power * 10 ** (rng.uniform(-20, 6) / 10), self.windows(mode, begin, end, clip, other, rng)

    def windows(self, mode: str, begin: int, end: int, clip: int, other: int, rng: np.random.Generator) -> list[tuple]:
        step, short = self.step, self.window
        first, last = max(0, (begin - step) // step), min(self.steps, max(end // step, begin // step + 1))
        found = []
        if mode == "clip":  # silence is pooled along, as in padded recordings
            before, after = (rng.integers(0, room + 1) if rng.random() < 0.3 else 0 for room in (first, self.steps - last))
            first, last = first - before, last + after
        elif last - first > 6 and rng.random() < 0.5:
            size = int(rng.integers(6, last - first + 1))
            first = int(rng.integers(first, last - size + 1))
            last = first + size
        found.append((first, last, MAIN, clip, other))
        # The newest frame of step e is step * e + ahead.
        delay = int(rng.integers(*self.settings["onset_delay"]))
        newest = (begin + delay - self.ahead) // step
        if mode != "repeat" and short - 1 <= newest < self.steps and end - begin >= delay // 2:
            found.append((newest + 1 - short, newest + 1, ONSET, clip, other))
        if mode == "scene":
            newest = (begin - 1 - self.ahead) // step
            if newest >= short - 1:
                newest = int(rng.integers(short - 1, newest + 1))
                found.append((newest + 1 - short, newest + 1, BACKGROUND, -1, -1))
        return found

    def ground(self, rng: np.random.Generator) -> np.ndarray:
        row = int(rng.choice(self.backgrounds, p=self.background_weights))
        frames = np.asarray(self.cache.clip(row), np.float32)
        if len(frames) < self.length:  # there and back again: no clicks
            frames = np.concatenate([frames, frames[::-1]])
            frames = np.tile(frames, (-(-self.length // len(frames)) + 1, 1))
        start = int(rng.integers(0, len(frames) - self.length + 1))
        return power_of(frames[start : start + self.length])

    def sound(self, clip: int, rng: np.random.Generator) -> np.ndarray:
        """Some of a clip, at another speed and pitch, in a room."""
        settings, frames = self.settings, self.cache.clip(clip)
        longest = self.length
        if rng.random() < 0.6:
            longest = int(np.exp(rng.uniform(np.log(100), np.log(self.length))))
        start = int(rng.integers(0, len(frames) - longest + 1)) if len(frames) > longest else 0
        power = power_of(frames[start : start + longest])
        if rng.random() < settings["speed"]:
            places = np.arange(0, len(power) - 1e-3, rng.uniform(0.85, 1.18)).astype(np.int64)
            power = power[places]
        if rng.random() < settings["pitch"]:
            shift = int(rng.integers(-4, 5))
            power = np.roll(power, shift, axis=1)
            if shift > 0:
                power[:, :shift] = 0
            elif shift < 0:
                power[:, shift:] = 0
        if len(power) < 200 and rng.random() < settings["again"]:
            pause = np.zeros((int(rng.integers(10, 100)), power.shape[1]), np.float32)
            power = np.concatenate([power, pause] * int(rng.integers(2, 5)))[: self.length]
        if rng.random() < settings["room"]:
            power = reverberated(power, rng)
        return power

    def overlaid(self, sound: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The second sound over the first, each at its own time; at least the beginning of the first stays alone at
        times."""
        start = int(rng.integers(0, max(1, len(sound) // 2)))
        total = np.zeros((min(self.length, max(len(sound), start + len(second))), sound.shape[1]), np.float32)
        total[: len(sound)] += sound[: len(total)]
        total[start : start + len(second)] += second[: len(total) - start]
        return total

    # What a microphone makes of it

    def recorded(self, power: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Mel power [batch, time, mel] -> log-mel frames, after a random response, band limit and masking."""
        settings, (size, time, bands) = self.settings, power.shape
        knots = rng.normal(0, settings["response"], (size, 6))
        grid = np.linspace(0, 5, bands)
        response = np.stack([np.interp(grid, np.arange(6), row) for row in knots])
        for row in range(size):
            if rng.random() < settings["band_limit"]:
                limit = 8000 if rng.random() < 0.6 else rng.uniform(3000, 14000)
                response[row, mel_band(limit) :] = -70
            if rng.random() < settings["low_cut"]:
                response[row, : mel_band(rng.uniform(50, 300))] -= 30
        power = power * 10 ** (response[:, None, :] / 10).astype(np.float32)
        if settings["noise"] > 0:  # of the microphone itself
            for row in range(size):
                if rng.random() < settings["noise"]:
                    power[row] += 10 ** rng.uniform(-7, -4.5) * rng.exponential(1.0, (time, bands)).astype(np.float32)
        frames = (np.log(power + FRONT_END["log_offset"]) + FRONT_END["output_offset"]) * FRONT_END["output_scale"]
        for row in range(size):
            if rng.random() < settings["masked"]:
                width = int(rng.integers(4, 20))
                band = int(rng.integers(0, bands - width))
                frames[row, :, band : band + width] = frames[row, :, band : band + width].mean()
            if rng.random() < settings["masked"]:
                width = int(rng.integers(4, 30))
                start = int(rng.integers(0, time - width))
                frames[row, start : start + width] = SILENT_FRAME
        return frames.astype(np.float32)


def reverberated(power: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Direct sound and an exponential tail of 0.2 to 1 s (RT60), in power."""
    decay, share = 10 ** (-0.06 / rng.uniform(0.2, 1.0)), rng.uniform(0.1, 0.6)
    tail, state = np.empty_like(power), np.zeros(power.shape[1], np.float32)
    for place, frame in enumerate(power):
        state = decay * state + (1 - decay) * frame
        tail[place] = state
    return (1 - share) * power + share * tail
