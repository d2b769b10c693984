"""One run: two heads trained on cached features under one objective, then measured."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from ..encoder import TAG_COUNT
from ..losses import Objective, diagonal_plan, shared_plan, unit
from ..transport import sinkhorn
from .augment import kinds_of
from .dataset import LabData, ZeroShotSet
from .features import FEATURE_SIZE
from .retrieval import bank_potentials, modality_gap, retrieval


def two_layers(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, outputs))


class LabHeads(nn.Module):
    """Audio features and sentence vectors to unit vectors of one space, and tags read from that space."""

    def __init__(self, hidden: int, dimension: int, dropout: float):
        super().__init__()
        self.audio = two_layers(FEATURE_SIZE, hidden, dimension, dropout)
        self.text = two_layers(384, hidden, dimension, dropout)
        self.tags = nn.Linear(dimension, TAG_COUNT)

    def embed_audio(self, features: torch.Tensor) -> torch.Tensor:
        return unit(self.audio(features))

    def embed_text(self, vectors: torch.Tensor) -> torch.Tensor:
        return unit(self.text(vectors))

    def tag_loss(self, embedding: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Cross entropy to a distribution over tags, [n, 527]."""
        return -(target * self.tags(10 * embedding).log_softmax(dim=1)).sum(dim=1).mean()


class Batches:
    """Draws pairs of clip and text under the settings of a run."""

    def __init__(self, data: LabData, settings: dict, rng: np.random.Generator):
        self.data, self.settings, self.rng = data, settings, rng
        rows = data.training
        self.captions_of = np.arange(len(data.captions))
        if settings["shuffled"] > 0:
            wrong = rng.choice(rows, round(settings["shuffled"] * len(rows)), replace=False)
            self.captions_of[wrong] = wrong[np.roll(np.arange(len(wrong)), 1)]
        counts = np.bincount(np.concatenate([data.labels[row] for row in rows]))
        weights = np.array([max(counts[label] ** -float(settings["rarity"]) for label in data.labels[row]) for row in rows])
        self.weights = weights
        self.audio, self.texts = torch.from_numpy(data.views), torch.from_numpy(data.texts.vectors)
        self.mixed = torch.from_numpy(data.mixtures)
        self.augmented = [torch.from_numpy(data.augmented[kind]) for kind in kinds_of(settings)]

    def text_of(self, row: int) -> int:
        """A text for the clip: one of its captions, or, as often as the settings say, something in its place."""
        data, text, row = self.data, self.settings["text"], self.captions_of[row]
        chance = self.rng.random()
        for kind, choices in (("phrases", data.phrases), ("prompts", data.prompts), ("dropped", data.dropped), ("tags", data.tag_captions)):
            chance -= text[kind]
            if chance < 0 and len(choices[row]):
                return self.one_of(choices[row])
        captions = data.captions[row]
        return captions[0] if text["first_only"] else self.one_of(captions)

    def one_of(self, choices: np.ndarray) -> int:
        return choices[int(self.rng.random() * len(choices))]

    def draw(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features [n, 896], sentence vectors [n, 384], ideal plan [n, n], tag distributions [n, 527]."""
        data, rng, settings = self.data, self.rng, self.settings
        mixed = round(settings["mix"]["share"] * settings["batch"])
        # The largest of u^(1/weight) are a draw without replacement (Efraimidis and Spirakis).
        keys = np.log(rng.random(len(self.weights))) / self.weights
        rows = data.training[np.argpartition(-keys, settings["batch"] - mixed)[: settings["batch"] - mixed]]
        view = np.where(rng.random(len(rows)) < settings["crops"], 1, 0)
        features, targets = self.with_augmented(self.audio[rows, view], rows), torch.from_numpy(data.tag_targets[rows])
        texts = np.array([self.text_of(row) for row in rows])
        groups = {"pair": np.arange(len(rows)), "caption": texts, "label": np.array([data.labels[row][0] for row in self.captions_of[rows]])}[settings["positives"]]
        if mixed:
            chosen = self.mixtures(mixed)
            pair = data.mixture_rows[chosen]
            average = self.audio[pair[:, 0], 0] / 2 + self.audio[pair[:, 1], 0] / 2
            features = torch.cat([features, average if settings["mix"]["of"] == "embeddings" else self.mixed[chosen]])
            texts = np.concatenate([texts, data.mixture_texts[chosen]])
            groups = np.concatenate([groups, groups.max() + 1 + np.arange(mixed)])
            targets = torch.cat([targets, torch.from_numpy(data.tag_targets[pair].mean(axis=1))])
        vectors = self.texts[texts]
        if settings["text"]["noise"] > 0:
            vectors = unit(vectors + settings["text"]["noise"] * torch.from_numpy(rng.standard_normal(vectors.shape).astype(np.float32)) / vectors.shape[1] ** 0.5)
        ideal = diagonal_plan(len(texts)) if settings["positives"] == "pair" else shared_plan(torch.from_numpy(groups))
        return features, vectors, ideal, targets

    def with_augmented(self, features: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        """The features of clips, those of a share of them exchanged for augmented views, each of a kind at random."""
        if self.augmented:
            changed = self.rng.choice(len(rows), round(self.settings["augmented"]["share"] * len(rows)), replace=False)
            for place, kind in zip(changed, self.rng.integers(0, len(self.augmented), len(changed))):
                features[place] = self.augmented[kind][rows[place]]
        return features

    def mixtures(self, count: int) -> np.ndarray:
        """Mixtures at random, or in whole swap groups: pairs that differ in one half are the hard negatives of each other."""
        if not self.settings["mix"]["swapped"]:
            return self.rng.choice(len(self.data.mixtures), count, replace=False)
        groups = self.rng.choice(len(self.data.mixtures) // 4, count // 4, replace=False)
        return (4 * groups[:, None] + np.arange(4)).ravel()

    def corpus(self, kind: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Texts without audio and their distributions over tags."""
        rows = self.rng.choice(len(self.data.corpus_texts[kind]), count)
        return self.texts[self.data.corpus_texts[kind][rows]], torch.from_numpy(self.data.corpus_targets[kind][rows])


class Run:
    """`settings` as in lab.yaml; the seed decides initial weights, batches and which captions are shuffled."""

    def __init__(self, data: LabData, settings: dict, seed: int):
        torch.manual_seed(seed)
        self.data, self.settings = data, settings
        self.heads = LabHeads(settings["hidden"], settings["dimension"], settings["dropout"])
        self.objective = Objective(settings["dimension"], **settings["objective"])
        self.batches = Batches(data, settings, np.random.default_rng(seed))
        self.curve: list[dict[str, float]] = []

    def train(self, report: Callable[[int, float], None] = lambda step, loss: None) -> None:
        settings, tags = self.settings, self.settings["tags"]
        optimiser = torch.optim.AdamW(
            [{"params": self.heads.parameters(), "weight_decay": settings["weight_decay"]}, {"params": self.objective.parameters(), "weight_decay": 0.0}],
            lr=settings["lr"],
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings["lr"], settings["steps"], pct_start=0.1)
        for step in range(settings["steps"]):
            features, texts, ideal, targets = self.batches.draw()
            audio, text = self.heads.embed_audio(features), self.heads.embed_text(texts)
            loss = self.objective(audio, text, ideal)
            report(step, loss.item())
            if step % settings["log_every"] == 0:
                self.log(step, loss.item())
            if tags["audio"] > 0:
                loss = loss + tags["audio"] * self.heads.tag_loss(audio, targets)
            for kind in ("captions", "phrases"):
                if tags[kind] > 0:
                    vectors, wanted = self.batches.corpus(kind, settings["batch"])
                    loss = loss + tags[kind] * self.heads.tag_loss(self.heads.embed_text(vectors), wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            self.objective.project()
        self.log(settings["steps"], loss.item())

    @property
    def regularisation(self) -> float:
        """Of the transport when measuring: the objective's own where it has one, else its temperature."""
        objective = self.objective
        if objective.loss in ("mltm", "partial"):
            return objective.regularisation
        return float((-objective.log_scale).exp()) if objective.loss == "infonce" else objective.temperature

    @torch.no_grad()
    def vectors(self, measured: ZeroShotSet, views: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of clips and candidate texts in the metric's space."""
        self.heads.eval()
        audio = self.heads.embed_audio(torch.from_numpy(views[measured.rows]))
        text = self.heads.embed_text(self.batches.texts[measured.texts])
        self.heads.train()
        return self.objective.metric.rows(audio), self.objective.metric.rows(text)

    def similarity(self, audio: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """As the objective sees it, from rows of the metric's space."""
        distance = torch.cdist(audio, text)
        return -distance if self.objective.metric.form == "distance" else -distance.square() / 2

    def log(self, step: int, loss: float) -> None:
        whole = self.data.views[:, 0]
        audio, text = self.vectors(self.data.pairs, whole)
        relevant = torch.from_numpy(self.data.pairs.relevant)
        names = self.data.esc50["names"]
        esc50 = retrieval(self.similarity(*self.vectors(names, self.data.esc50_views)), torch.from_numpy(names.relevant))
        pairs = retrieval(self.similarity(audio, text), relevant)
        self.curve.append({"step": step, "loss": loss, "pairs R@1": pairs["R@1"], "esc50 R@1": esc50["R@1"], "gap": self.gap(audio, text, relevant)})

    @staticmethod
    def gap(audio: torch.Tensor, text: torch.Tensor, relevant: torch.Tensor) -> float:
        """Modality gap of the held-out pairs: each clip beside the first of its captions."""
        return modality_gap(audio, text[relevant.double().argmax(dim=1)])

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """All figures of the run, by "set: figure"."""
        whole, result, data = self.data.views[:, 0], {}, self.data

        def put(name: str, scores: torch.Tensor, relevant: torch.Tensor) -> None:
            result.update({f"{name}: {key}": value for key, value in retrieval(scores, relevant).items()})

        audio, text = self.vectors(data.pairs, whole)
        relevant = torch.from_numpy(data.pairs.relevant)
        scores = self.similarity(audio, text)
        put("audio to text", scores, relevant)
        put("text to audio", scores.T, relevant.T)
        plan = sinkhorn(-scores.double(), self.regularisation, iterations=100, tolerance=1e-4)
        put("audio to text, balanced", plan, relevant)
        put("text to audio, balanced", plan.T, relevant.T)
        result["gap"] = self.gap(audio, text, relevant)
        result["pair cosine"] = nn.functional.cosine_similarity(audio, text[relevant.double().argmax(dim=1)]).mean().item()

        self.heads.eval()
        bank = self.objective.metric.rows(self.heads.embed_audio(torch.from_numpy(data.bank)))
        self.heads.train()
        sets = {"labels": (data.held_out_labels, whole)} | {f"esc50 {name}": (measured, data.esc50_views) for name, measured in data.esc50.items()}
        for name, (measured, views) in sets.items():
            audio, text = self.vectors(measured, views)
            relevant, scores = torch.from_numpy(measured.relevant), self.similarity(audio, text)
            put(name, scores, relevant)
            over_bank = self.similarity(bank, text)
            for mode, relaxation in (("bank", None), ("relaxed bank", 4 * self.regularisation)):
                put(f"{name}, {mode}", scores + bank_potentials(over_bank, self.regularisation, relaxation), relevant)
            put(f"{name}, balanced", sinkhorn(-scores.double(), self.regularisation, iterations=300, tolerance=1e-4), relevant)
        if self.settings["degraded"]:
            names = data.esc50["names"]
            put("esc50 degraded", self.similarity(*self.vectors(names, data.degraded_views)), torch.from_numpy(names.relevant))
        return result


def run(data: LabData, settings: dict, seed: int, report: Callable[[int, float], None] = lambda step, loss: None) -> tuple[Run, dict[str, float]]:
    started = time.monotonic()
    made = Run(data, settings, seed)
    made.train(report)
    return made, made.measure() | {"seconds": time.monotonic() - started}
