"""Adapts the streaming encoder to the published network: same embedding, hidden layer and tags, less future.

The student pools the steps of a stretch after a random amount of preceding context, the teacher has seen just that
stretch; so the student learns to describe the present whatever went before. Batch norm statistics stay as they are,
the layers below the column cache stay frozen. Writes `<run>/distill.pt` (and resumes from it) and `<run>/distill.csv`.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from .columns import ColumnCache, Stretches
from .encoder import AudioEncoder

COLUMN_FRAMES, STEP_FRAMES = 8, 16
CONTEXTS = [0, 0, 64, 160, 320]


def distillation_loss(student: AudioEncoder, pooled: torch.Tensor, target: torch.Tensor, teacher: AudioEncoder) -> tuple[torch.Tensor, list[float]]:
    """Relative squared errors of embedding, hidden layer and logits, and the divergence of tags; sum and parts."""
    hidden, target_hidden = student.hidden_of(pooled), teacher.hidden_of(target)
    logits, target_logits = student.logits_of(hidden), teacher.logits_of(target_hidden)
    embedding = (pooled - target).square().mean() / target.var(dim=0).mean()
    inner = (hidden - target_hidden).square().mean() / target_hidden.var(dim=0).mean()
    tags = (logits - target_logits).square().mean() / target_logits.var(dim=0).mean()
    probability = target_logits.sigmoid()
    divergence = functional.binary_cross_entropy_with_logits(logits, probability, reduction="none")
    divergence = divergence - functional.binary_cross_entropy_with_logits(target_logits, probability, reduction="none")
    divergence = divergence.sum(1).mean()
    return embedding + inner + tags + divergence, [embedding.item(), inner.item(), tags.item(), divergence.item()]


class StretchBatches:
    """Draws batches of stretches of one length with one amount of context."""

    """A fortieth of the clips is held out."""

    def __init__(self, columns: ColumnCache, stretches: Stretches, frames_per_batch: int, held_out: bool = False):
        self.columns, self.stretches, self.frames = columns, stretches, frames_per_batch
        chosen = (stretches.clip % 40 == 0) == held_out
        self.by_length = {int(length): np.flatnonzero(chosen & (stretches.length == length)) for length in np.unique(stretches.length)}

    def draw(self, rng: np.random.Generator, length: int | None = None, context: int | None = None) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Columns, targets, and the number of steps to pool at the end."""
        data = self.stretches
        length = int(rng.choice([key for key in self.by_length if len(self.by_length[key]) >= 16])) if length is None else length
        rows = self.by_length[length]
        context = int(rng.choice(CONTEXTS)) if context is None else context
        able = rows[data.start[rows] >= context]
        if len(able) < 8:
            context, able = 0, rows
        size = int(np.clip(self.frames // (length + context), 8, 96))
        rows = rng.choice(able, min(size, len(able)), replace=False)
        first = (data.start[rows] - context) // COLUMN_FRAMES
        count = (length + context) // COLUMN_FRAMES
        batch = np.stack([self.columns.clip(clip)[at : at + count] for clip, at in zip(data.clip[rows], first)])
        return self.columns.tensor(batch), torch.from_numpy(data.target[rows].astype(np.float32)), length // STEP_FRAMES


def validate(student: AudioEncoder, teacher: AudioEncoder, batches: StretchBatches, split: int) -> list[float]:
    """Mean loss parts on held-out clips."""
    rng, parts = np.random.default_rng(0), []
    with torch.no_grad():
        for length in batches.by_length:
            for context in (0, 160):
                value, target, steps = batches.draw(rng, length, context)
                pooled = student.finish(student.run(value, split))[:, -steps:].mean(dim=1)
                parts.append(distillation_loss(student, pooled, target, teacher)[1])
    return np.mean(parts, axis=0).tolist()


def distill(student: AudioEncoder, teacher: AudioEncoder, sources: list[tuple[ColumnCache, Stretches]], run: Path, settings: dict) -> AudioEncoder:
    """Trains `settings["steps"]` batches drawn from `sources` in turn (clips first, then mixtures); the result is the
    running average of the weights. Held-out figures are on clips of the first source."""
    torch.manual_seed(settings["seed"])
    run.mkdir(parents=True, exist_ok=True)
    split = settings["split"]
    student.to(memory_format=torch.channels_last).requires_grad_(False)
    modules = (*student.layers[split:], student.last, student.last_norm, student.hidden, student.tags)
    trained = [parameter.requires_grad_(True) for module in modules for parameter in module.parameters()]
    optimiser = torch.optim.AdamW(trained, lr=settings["lr"], weight_decay=1e-4)
    average = {name: value.clone() for name, value in student.state_dict().items()}
    step, checkpoint = 0, run / "distill.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        student.load_state_dict(state["student"])
        optimiser.load_state_dict(state["optimiser"])
        average, step = state["average"], state["step"]
    steps = settings["steps"]
    batches = [StretchBatches(*source, settings["frames_per_batch"]) for source in sources]
    held_out = StretchBatches(*sources[0], settings["frames_per_batch"], held_out=True)
    student.train()
    with open(run / "distill.csv", "a", newline="") as file:
        log = csv.writer(file)
        if step == 0:
            log.writerow(["step", "seconds", "loss", "embedding", "hidden", "tags", "divergence", "held_out_embedding", "held_out_hidden", "held_out_tags", "held_out_divergence"])
        progress, parts, started = tqdm(total=steps, initial=step, mininterval=10, desc="distill"), [], time.time()
        while step < steps:
            value, target, count = batches[step % len(batches)].draw(np.random.default_rng((settings["seed"], step)))
            pooled = student.finish(student.run(value, split))[:, -count:].mean(dim=1)
            loss, values = distillation_loss(student, pooled, target, teacher)
            factor = min(1.0, (step + 1) / settings["warmup"]) * (0.5 + 0.5 * np.cos(np.pi * step / steps))
            for group in optimiser.param_groups:
                group["lr"] = float(settings["lr"] * max(factor, 0.02))
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
                current = {name: value.clone() for name, value in student.state_dict().items()}
                state = {"student": current, "optimiser": optimiser.state_dict(), "average": average, "step": step}
                torch.save(state, checkpoint.with_suffix(".new"))
                checkpoint.with_suffix(".new").replace(checkpoint)
                student.load_state_dict(average)
                measured = validate(student, teacher, held_out, split)
                student.load_state_dict(current)
                log.writerow([step, round(time.time() - started), *np.round(np.mean(parts, axis=0), 4), *np.round(measured, 4)])
                file.flush()
                parts = []
    student.load_state_dict(average)
    return student.eval()
