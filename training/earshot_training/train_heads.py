"""Trains the projections and the metric on pooled step embeddings of the frozen encoder.

Three terms at once: sentences -> tags (from captions with AudioSet labels, from tag phrases and from what sounds
resemble), the joint block (labels and captions against clips, and against the encoder's own tags), and the m-LTM loss
on the whole vector under the Mahalanobis metric. A stage trains all blocks or those that `trained` names. The metric factor starts as the principal axes of the text and audio vectors, so that it
keeps the plain inner product.
"""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from .data import Clip
from .encoder import TAG_COUNT, AudioEncoder
from .features import StepCache
from .heads import Heads, similarity
from .phrases import Phrases, TextBanks
from .text import TextEmbedder
from .transport import mltm_loss


LOSS_NAMES = ("tags", "likenesses", "labels", "tag_labels", "distil", "captions", "transport", "teacher")


class HeadTrainer:
    def __init__(
        self, heads: Heads, encoder: AudioEncoder, steps: StepCache, clips: list[Clip], usable: np.ndarray, banks: TextBanks, text: TextEmbedder, settings: dict,
    ):  # fmt: skip
        """`usable`: which clips may be learned from."""
        self.heads, self.encoder, self.steps, self.banks, self.settings = heads, encoder, steps, banks, settings
        self.label_index = {name: index for index, name in enumerate(banks.label_names)}
        self.labels = torch.zeros(len(clips), len(banks.label_names), dtype=torch.bool)
        for row, clip in enumerate(clips):
            for label in clip.labels:
                self.labels[row, self.label_index[label]] = True
        self.captions = Phrases(text, [clip.captions or [""] for clip in clips])
        able = self.labels.any(dim=1).numpy() & usable & np.array([bool(clip.captions) for clip in clips])
        frequency = self.labels[torch.from_numpy(able)].sum(dim=0).clamp_min(1).double()
        rarity = (self.labels.double() / frequency.pow(settings["rarity"])).sum(1) / self.labels.sum(1).clamp_min(1)
        weights = np.where(able, rarity.numpy(), 0.0)
        self.weights = weights / weights.sum()
        self.log_scale = nn.Parameter(torch.tensor(math.log(settings["scale"])))
        self.standardise()

    @torch.no_grad()
    def standardise(self) -> None:
        """Mean and spread of the tag log-odds over crops of the training clips, drawn as in training."""
        rng = np.random.default_rng(self.settings["seed"])
        rows = rng.choice(len(self.weights), 20000, p=self.weights)
        logits = self.encoder.logits_of(self.encoder.hidden_of(self.steps.crops(rows, rng, silence=self.settings["silence"])))
        self.heads.tag_mean.copy_(logits.mean(0))
        self.heads.tag_scale.copy_(1 / logits.std(0))

    @torch.no_grad()
    def start_metric(self) -> None:
        """A square L starts as the identity; a smaller one as the leading principal axes (uncentred) of text and audio
        vectors, which loses some of the inner products."""
        if self.heads.factor.shape[0] == self.heads.factor.shape[1]:
            self.heads.factor.copy_(torch.eye(self.heads.factor.shape[0]))
            return
        rng = np.random.default_rng(self.settings["seed"])
        rows = rng.choice(len(self.weights), 4000, p=self.weights)
        self.heads.eval()
        audio = self.heads.audio_vector(*self.audio(rows, rng))
        text = [self.heads.text_vector(vectors.pick(rng)) for vectors in (self.banks.tag_vectors, self.banks.label_vectors) for _ in range(3)]
        text = torch.cat(text)
        moment = text.T @ text / len(text) + self.settings["metric_audio_share"] * audio.T @ audio / len(audio)
        axes = torch.linalg.eigh(moment.double()).eigenvectors.flip(1)[:, : self.heads.factor.shape[0]]
        self.heads.factor.copy_(axes.T.float())

    def draw(self, rng: np.random.Generator) -> tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor, np.ndarray]:
        """A batch: its audio, its labels [batch, labels], and for each element the clip whose captions describe it."""
        rows = rng.choice(len(self.weights), self.settings["batch"], p=self.weights)
        return self.audio(rows, rng), self.labels[torch.from_numpy(rows)], rows

    def audio(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            pooled = self.steps.crops(rows, rng, silence=self.settings["silence"])
            hidden = self.encoder.hidden_of(pooled)
            return pooled, hidden, self.encoder.logits_of(hidden)

    def extra_groups(self) -> list[dict]:
        """Further parameters to train, as optimiser groups with their `base` learning rate."""
        return []

    def extra_losses(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        return {}

    def after_step(self) -> None:
        """Called after each optimiser step."""

    def tag_loss(self, rng: np.random.Generator) -> torch.Tensor:
        """Cross entropy of predicted tags: half captions, half tag phrases."""
        banks, half = self.banks, self.settings["text_batch"] // 2
        which = rng.integers(0, TAG_COUNT, half)
        predicted = torch.log_softmax(self.heads.text_tags(banks.tag_vectors.pick(rng, which)), dim=1)
        loss = -predicted[torch.arange(half), torch.from_numpy(which)].mean()
        rows = torch.from_numpy(rng.choice(len(banks.captions), half, p=banks.caption_weights))
        predicted = torch.log_softmax(self.heads.text_tags(banks.captions[rows]), dim=1)
        return 0.5 * loss - 0.5 * (banks.caption_targets[rows] * predicted).sum(1).mean()

    def likeness_loss(self, rng: np.random.Generator) -> torch.Tensor:
        """Cross entropy of the distribution that a text vector holds (the sharpened one) with what the sound resembles."""
        banks = self.banks
        which = rng.integers(0, len(banks.likeness_targets), self.settings["text_batch"] // 2)
        predicted = torch.log_softmax(self.heads.sharpness * self.heads.text_tags(banks.likeness_vectors.pick(rng, which)), dim=1)
        return -(banks.likeness_targets[which] * predicted).sum(1).mean()

    def losses(self, rng: np.random.Generator, metric: bool) -> dict[str, torch.Tensor]:
        settings, heads, banks = self.settings, self.heads, self.banks
        (pooled, hidden, logits), truth, rows = self.draw(rng)
        tag_block, joint = heads.audio_blocks(pooled, hidden, logits)
        scale = self.log_scale.exp().clamp_max(100)

        present = torch.from_numpy(np.flatnonzero(truth.any(dim=0).numpy()))
        truth = truth[:, present].float()
        label_text = banks.label_vectors.pick(rng, present.numpy())
        label_joint = functional.normalize(heads.text_joint(label_text), dim=1)
        target = truth / truth.sum(1, keepdim=True)
        result = {"tags": self.tag_loss(rng), "likenesses": self.likeness_loss(rng)}
        label_tags = functional.normalize(torch.softmax(heads.sharpness * heads.text_tags(label_text), dim=1), dim=1)
        result["tag_labels"] = -(target * torch.log_softmax(scale * tag_block @ label_tags.T, dim=1)).sum(1).mean()
        result["labels"] = -(target * torch.log_softmax(scale * joint @ label_joint.T, dim=1)).sum(1).mean()

        tag_text = banks.tag_vectors.pick(rng)
        tag_joint = functional.normalize(heads.text_joint(tag_text), dim=1)
        tag_target = logits.detach().sigmoid()
        tag_target = tag_target / tag_target.sum(1, keepdim=True)
        result["distil"] = -(tag_target * torch.log_softmax(scale * joint @ tag_joint.T, dim=1)).sum(1).mean()

        caption_text = self.captions.pick(rng, rows)
        caption_joint = functional.normalize(heads.text_joint(caption_text), dim=1)
        same = (truth @ truth.T > 0).float()
        ideal = same / same.sum(1, keepdim=True)
        pair = scale * joint @ caption_joint.T
        result["captions"] = -0.5 * ((ideal * torch.log_softmax(pair, dim=1)).sum(1).mean() + (ideal * torch.log_softmax(pair.T, dim=1)).sum(1).mean())

        result |= self.extra_losses(rng)
        if metric:
            audio = heads.embed(heads.join((tag_block, joint)))
            label = heads.embed(heads.text_vector(label_text))
            plan = target / len(target)
            result["transport"] = mltm_loss(similarity(audio, label), plan, settings["regularisation"], settings["iterations"])
            caption = heads.embed(heads.text_vector(caption_text))
            result["transport"] = result["transport"] + 0.5 * mltm_loss(similarity(audio, caption), ideal / len(ideal), settings["regularisation"], settings["iterations"])
        return result

    def train(self, run: Path, probe=None) -> Heads:
        """First the blocks, then blocks and metric; returns the averaged weights. `probe(heads)` is printed."""
        settings, heads = self.settings, self.heads
        torch.manual_seed(settings["seed"])
        run.mkdir(parents=True, exist_ok=True)
        steps, metric_from = settings["steps"], settings["metric_from"]
        heads.requires_grad_(False)
        for block in settings["trained"]:
            heads.get_submodule(block).requires_grad_(True)
        groups = [
            {"params": [p for p in heads.parameters() if p.requires_grad], "lr": settings["lr"], "base": settings["lr"]},
            {"params": [self.log_scale], "lr": settings["lr"], "base": settings["lr"], "weight_decay": 0.0},
            {"params": [heads.factor], "lr": settings["metric_lr"], "base": settings["metric_lr"], "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(groups + self.extra_groups(), weight_decay=settings["weight_decay"])
        average, parts, started = None, [], time.time()
        with open(run / "heads.csv", "w", newline="") as file:
            log = csv.writer(file)
            log.writerow(["step", "seconds", *LOSS_NAMES, "scale"])
            for step in tqdm(range(steps), desc="heads", mininterval=10):
                rng = np.random.default_rng((settings["seed"], step))
                metric = step >= metric_from
                if step == metric_from:
                    if average is not None:
                        heads.load_state_dict(average)
                    if not settings["keep_metric"]:
                        self.start_metric()
                    average = None
                    heads.factor.requires_grad_(settings["metric_lr"] > 0)
                    if probe is not None:
                        heads.eval()
                        print("metric start", probe(heads), flush=True)
                heads.train()
                losses = self.losses(rng, metric and settings["weights"]["transport"] > 0)
                loss = sum(settings["weights"][name] * value for name, value in losses.items())
                factor = min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
                for group in optimiser.param_groups:
                    group["lr"] = group["base"] * max(factor, 0.01)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                self.after_step()
                state = heads.state_dict()
                if average is None:
                    average = {name: value.clone() for name, value in state.items()}
                for name, value in state.items():
                    average[name].lerp_(value, 1 - settings["average"])
                parts.append([losses[name].item() if name in losses else 0.0 for name in LOSS_NAMES])
                if (step + 1) % 100 == 0:
                    log.writerow([step + 1, round(time.time() - started), *np.round(np.mean(parts, axis=0), 4), round(self.log_scale.exp().item(), 2)])
                    file.flush()
                    parts = []
        heads.load_state_dict(average)
        return heads.eval()
