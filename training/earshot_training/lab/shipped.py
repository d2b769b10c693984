"""Per-class R@1 and confusion of a model directory on ESC-50 fold 1, clips embedded as `earshot classify` does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ..data import load_samples, read_esc50
from ..reference import ReferenceModel
from ..text import TextEmbedder, template
from .plots import plt, save


@torch.no_grad()
def fold_scores(folder: Path, data: Path, cache: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Similarities [clips, labels], the true labels [clips], and the labels' names, under the paper's prompt."""
    model = ReferenceModel(folder)
    paths, categories = read_esc50(data / "eval/esc50-fold1")
    labels = sorted(set(categories))
    audio = torch.stack([model.embed_clip(load_samples(path)) for path in tqdm(paths, desc="clips", mininterval=5)])
    text = model.embed_text(torch.from_numpy(np.asarray(TextEmbedder(cache)([template(label) for label in labels]))))
    scores = -torch.cdist(audio.double(), text.double()).square() / 2
    return scores.numpy(), np.array([labels.index(category) for category in categories]), labels


def confusion_of(scores: np.ndarray, truth: np.ndarray, count: int) -> np.ndarray:
    """Counts [true label, best label]."""
    matrix = np.zeros((count, count), np.int64)
    np.add.at(matrix, (truth, scores.argmax(axis=1)), 1)
    return matrix


def class_table(confusion: np.ndarray, labels: list[str]) -> str:
    """Markdown: R@1 of each class, worst first, and what it is taken for."""
    recall = confusion.diagonal() / confusion.sum(axis=1)
    lines = ["| class | R@1 | taken for |", "|---|---|---|"]
    for row in np.argsort(recall, kind="stable"):
        wrong = [column for column in np.argsort(-confusion[row], kind="stable") if column != row and confusion[row, column]]
        lines.append(f"| {labels[row]} | {100 * recall[row]:.1f} | {', '.join(f'{labels[column]} ({confusion[row, column]})' for column in wrong)} |")
    return "\n".join(lines) + f"\n\nAll: {100 * confusion.trace() / confusion.sum():.2f}\n"


def plot_classes(confusion: np.ndarray, labels: list[str], output: Path) -> None:
    recall, order = confusion.diagonal() / confusion.sum(axis=1), np.arange(len(labels))
    by_recall = np.argsort(-recall, kind="stable")
    figure, axis = plt.subplots(figsize=(6, 9))
    axis.barh(order, 100 * recall[by_recall][::-1], color="tab:blue")
    axis.set_yticks(order, [labels[row] for row in by_recall][::-1], fontsize=7)
    axis.set_xlabel("R@1 (%)")
    axis.margins(y=0.01)
    save(figure, output / "classes.png")
    figure, axis = plt.subplots(figsize=(9, 9))
    axis.imshow(confusion / confusion.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(order, labels, rotation=90, fontsize=6)
    axis.set_yticks(order, labels, fontsize=6)
    axis.set_xlabel("best label")
    axis.set_ylabel("true label")
    save(figure, output / "confusion.png")


def report_model(folder: Path, data: Path, cache: Path, output: Path) -> str:
    """Writes `classes.png` and `confusion.png`; returns the table."""
    if not (folder / "config.json").exists():
        raise SystemExit(f"{folder}: no config.json there; name a model directory")
    scores, truth, labels = fold_scores(folder, data, cache)
    confusion = confusion_of(scores, truth, len(labels))
    plot_classes(confusion, labels, output)
    return class_table(confusion, labels)
