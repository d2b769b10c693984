"""Adapts the streaming encoder to the published network: same embedding, hidden layer and tags, less future.

The student sees random stretches of clips with their running state, the teacher the same stretch at once. Batch
norm statistics stay as they are. Layers below `first_trained` stay frozen: their streaming form differs little.
Writes `<run>/distill.pt` (resumes from it) and `<run>/distill.csv`.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from .data import FrameCache
from .encoder import AudioEncoder, lookahead_frames
from .frontend import LogMel


def random_batch(cache: FrameCache, rng: np.random.Generator, size: int, lengths: tuple[int, int], tail: int) -> torch.Tensor:
    """Stretches of one random length (frames), the last `tail` frames being what the lookahead needs; clips shorter
    than that are repeated. Clips are drawn by the square root of their length."""
    length = int(np.exp(rng.uniform(np.log(lengths[0]), np.log(lengths[1])))) + tail
    weights = np.sqrt(cache.index[:, 1].astype(np.float64))
    clips = rng.choice(len(cache), size, p=weights / weights.sum())
    batch = np.empty((size, length, cache.frames.shape[1]), np.float32)
    for row, clip in enumerate(clips):
        frames = np.asarray(cache.clip(clip))
        if len(frames) < length:
            frames = np.tile(frames, (-(-length // len(frames)), 1))
        start = rng.integers(0, len(frames) - length + 1)
        batch[row] = frames[start : start + length]
    return torch.from_numpy(batch)


def augment(frames: torch.Tensor, frontend: LogMel, rng: np.random.Generator) -> torch.Tensor:
    """Gain of -12 to +6 dB per clip, and every second clip mixed with another one at -12 to +12 dB."""
    power = frontend.power_of(frames)
    size = len(frames)
    gain = torch.from_numpy(10 ** (rng.uniform(-12, 6, (size, 1, 1)) / 10)).float()
    level = power.mean(dim=(1, 2), keepdim=True).clamp_min(1e-8)
    ratio = torch.from_numpy(10 ** (rng.uniform(-12, 12, (size, 1, 1)) / 10)).float()
    mixed = torch.from_numpy(rng.random((size, 1, 1)) < 0.5)
    other = torch.from_numpy(rng.permutation(size))
    power = power + torch.where(mixed, power[other] * level / level[other] * ratio, torch.zeros(()))
    return frontend.scale(power * gain)


def as_image(frames: torch.Tensor) -> torch.Tensor:
    """[batch, time, mel] -> [batch, 1, mel, time], channels last (the backward pass is twice as fast so)."""
    return frames.transpose(1, 2)[:, None].contiguous(memory_format=torch.channels_last)


def distillation_loss(student: AudioEncoder, pooled: torch.Tensor, teacher: AudioEncoder, target: torch.Tensor) -> tuple[torch.Tensor, list[float]]:
    """Relative squared errors of embedding and hidden layer plus a tag term; returns the sum and its parts."""
    hidden, target_hidden = student.hidden_of(pooled), teacher.hidden_of(target)
    logits, target_logits = student.logits_of(hidden), teacher.logits_of(target_hidden)
    embedding = ((pooled - target).square().mean() / target.var()).float()
    inner = (hidden - target_hidden).square().mean() / target_hidden.var()
    tags = (logits - target_logits).square().mean() / target_logits.var()
    bce = functional.binary_cross_entropy_with_logits(logits, target_logits.sigmoid(), reduction="none").sum(1).mean()
    entropy = functional.binary_cross_entropy_with_logits(target_logits, target_logits.sigmoid(), reduction="none").sum(1).mean()
    loss = embedding + inner + 2 * tags + (bce - entropy)
    return loss, [embedding.item(), inner.item(), tags.item(), (bce - entropy).item()]


def distill(student: AudioEncoder, teacher: AudioEncoder, cache: FrameCache, run: Path, settings: dict) -> AudioEncoder:
    """Trains `settings["steps"]` batches; the result is the running average of the weights."""
    torch.manual_seed(settings["seed"])
    run.mkdir(parents=True, exist_ok=True)
    tail, first = lookahead_frames(student.plan), settings["first_trained"]
    student.to(memory_format=torch.channels_last).requires_grad_(False)
    trained = [p for m in (*student.layers[first:], student.last, student.last_norm, student.hidden, student.tags) for p in m.parameters()]
    for parameter in trained:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(trained, lr=settings["lr"], weight_decay=1e-4)
    average = {name: value.clone() for name, value in student.state_dict().items()}
    step, checkpoint = 0, run / "distill.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        student.load_state_dict(state["student"])
        optimiser.load_state_dict(state["optimiser"])
        average, step = state["average"], state["step"]
    frontend, steps = LogMel(), settings["steps"]
    student.train()
    with open(run / "distill.csv", "a", newline="") as file:
        log = csv.writer(file)
        if step == 0:
            log.writerow(["step", "seconds", "loss", "embedding", "hidden", "tags", "bce"])
        progress, parts, started = tqdm(total=steps, initial=step, mininterval=10, desc="distill"), [], time.time()
        while step < steps:
            rng = np.random.default_rng((settings["seed"], step))
            frames = augment(random_batch(cache, rng, settings["batch"], settings["frames"], tail), frontend, rng)
            with torch.no_grad():
                target = teacher(frames[:, : frames.shape[1] - tail]).mean(dim=1)
                early = student.run(as_image(frames), 0, first)
            pooled = student.finish(student.run(early, first)).mean(dim=1)
            loss, values = distillation_loss(student, pooled, teacher, target)
            warm = min(1.0, (step + 1) / settings["warmup"]) * (0.5 + 0.5 * np.cos(np.pi * step / steps))
            for group in optimiser.param_groups:
                group["lr"] = settings["lr"] * max(warm, 0.02)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 5.0)
            optimiser.step()
            step += 1
            decay = min(settings["average"], step / (step + 10))
            for name, value in student.state_dict().items():
                if value.is_floating_point():
                    average[name].lerp_(value, 1 - decay)
            parts.append([loss.item(), *values])
            progress.update()
            if step % settings["log_every"] == 0 or step == steps:
                log.writerow([step, round(time.time() - started), *np.round(np.mean(parts, axis=0), 5)])
                file.flush()
                parts = []
                state = {"student": student.state_dict(), "optimiser": optimiser.state_dict(), "average": average, "step": step}
                torch.save(state, checkpoint.with_suffix(".new"))
                checkpoint.with_suffix(".new").replace(checkpoint)
    student.load_state_dict(average)
    return student.eval()
