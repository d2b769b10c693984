"""Heads and the upper backbone trained together: the head losses on crops, with distillation to the teacher
beside them so that the tags and the generality of the public checkpoint stay."""

from __future__ import annotations

import numpy as np
import torch

from .columns import ColumnCache, Stretches
from .distill import StretchBatches, distillation_loss
from .encoder import AudioEncoder
from .train_heads import HeadTrainer

STEP_COLUMNS = 2


class FineTuner(HeadTrainer):
    """A HeadTrainer whose audio side runs layers `split` and up with gradients."""

    def connect(self, teacher: AudioEncoder, columns: ColumnCache, stretches: list[StretchBatches]) -> "FineTuner":
        self.teacher, self.columns, self.stretches = teacher, columns, stretches
        encoder, split = self.encoder, self.settings["split"]
        encoder.to(memory_format=torch.channels_last).requires_grad_(False)
        modules = (*encoder.layers[split:], encoder.last, encoder.last_norm, encoder.hidden, encoder.tags)
        self.backbone = [parameter.requires_grad_(True) for module in modules for parameter in module.parameters()]
        self.average = {name: value.clone() for name, value in encoder.state_dict().items()}
        self.live, self.mixtures = True, []
        return self

    def add_mixtures(self, sources: list[tuple[ColumnCache, Stretches, np.ndarray]]) -> "FineTuner":
        """Mixtures with the clips in each, as further labelled audio; sorted by their length."""
        self.mixtures: list[tuple[ColumnCache, np.ndarray, np.ndarray, np.ndarray]] = []
        for columns, stretches, clips in sources:
            known = np.where(clips >= 0, self.weights[clips], 0.0).sum(axis=1)
            total = stretches.start + stretches.length
            for length in np.unique(total):
                rows = np.flatnonzero((total == length) & (known > 0))
                if len(rows) >= self.settings["batch"]:
                    self.mixtures.append((columns, rows, clips[rows], known[rows] / known[rows].sum()))
        return self

    def draw(self, rng: np.random.Generator) -> tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor, np.ndarray]:
        if not self.mixtures or rng.random() >= self.settings["mixed"]:
            return super().draw(rng)
        columns, rows, clips, weights = self.mixtures[rng.integers(len(self.mixtures))]
        chosen = rng.choice(len(rows), self.settings["batch"], replace=False, p=weights)
        value = columns.tensor(np.stack([columns.clip(int(row))[: self.settings["longest_columns"]] for row in rows[chosen]]))
        pooled = self.run_columns(value).mean(dim=1)
        hidden = self.encoder.hidden_of(pooled)
        pair = clips[chosen]
        labels = self.labels[torch.from_numpy(pair[:, 0])] | (self.labels[torch.from_numpy(pair[:, 1])] & torch.from_numpy(pair[:, 1] >= 0)[:, None])
        described = np.where((pair[:, 1] >= 0) & (rng.random(len(pair)) < 0.5) & (self.weights[pair[:, 1]] > 0), pair[:, 1], pair[:, 0])
        described = np.where(self.weights[described] > 0, described, pair[:, 1])
        return (pooled, hidden, self.encoder.logits_of(hidden)), labels, described

    def extra_groups(self) -> list[dict]:
        rate = self.settings["backbone_lr"]
        return [{"params": self.backbone, "lr": rate, "base": rate, "weight_decay": 1e-4}]

    def run_columns(self, value: torch.Tensor) -> torch.Tensor:
        return self.encoder.finish(self.encoder.run(value, self.settings["split"]))

    def audio(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if not getattr(self, "live", False) or not torch.is_grad_enabled():
            return super().audio(rows, rng)
        longest = int(np.exp(rng.uniform(np.log(12), np.log(self.settings["longest_columns"])))) // STEP_COLUMNS * STEP_COLUMNS
        batch = np.repeat(np.repeat(self.columns.silence[None, None], longest, axis=1), len(rows), axis=0).astype(np.float32)
        counts = []
        for place, row in enumerate(rows):
            columns = self.columns.clip(int(row))
            count = min(longest, max(STEP_COLUMNS, len(columns) // STEP_COLUMNS * STEP_COLUMNS))
            start = rng.integers(0, max(0, len(columns) - count) // STEP_COLUMNS + 1) * STEP_COLUMNS
            crop, before, after = columns[start : start + count], 0, 0
            if rng.random() < self.settings["silence"]:  # pooled along, before and after, as in padded recordings
                room = (longest - count) // STEP_COLUMNS
                before, after = (int(room * share) for share in rng.dirichlet((1, 1, 1))[:2])
            batch[place, before * STEP_COLUMNS : before * STEP_COLUMNS + len(crop)] = crop
            counts.append(before + count // STEP_COLUMNS + after)
        steps = self.run_columns(self.columns.tensor(batch))
        sizes = torch.tensor(counts)
        inside = (torch.arange(steps.shape[1])[None, :] < sizes[:, None]).float()
        pooled = (steps * inside[..., None]).sum(1) / inside.sum(1, keepdim=True)
        hidden = self.encoder.hidden_of(pooled)
        return pooled, hidden, self.encoder.logits_of(hidden)

    def extra_losses(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        value, target, count = self.stretches[rng.integers(len(self.stretches))].draw(rng)
        pooled = self.run_columns(value)[:, -count:].mean(dim=1)
        return {"teacher": distillation_loss(self.encoder, pooled, target, self.teacher)[0]}

    def after_step(self) -> None:
        for name, value in self.encoder.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - self.settings["average"])

    def finish(self) -> AudioEncoder:
        """The encoder with averaged weights."""
        self.live = False
        self.encoder.load_state_dict(self.average)
        return self.encoder.eval().requires_grad_(False)
