"""Zero-shot figures: R@k per clip, mAP@10, and the transductive balanced transport of the m-LTM paper."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .data import load_samples, read_esc50
from .heads import similarity
from .reference import ReferenceModel
from .text import TextEmbedder, template
from .transport import sinkhorn

TRAINING = Path(__file__).resolve().parents[1]


def recalls(scores: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """R@1, R@5, R@10 and mAP@10 in per cent for scores [clips, labels] with one true label per clip."""
    own = scores.gather(1, truth[:, None])
    rank = (scores > own).sum(dim=1) + 1
    result = {f"R@{k}": 100 * (rank <= k).double().mean().item() for k in (1, 5, 10)}
    result["mAP@10"] = 100 * torch.where(rank <= 10, 1 / rank.double(), torch.zeros((), dtype=torch.float64)).mean().item()
    return result


def balanced(scores: torch.Tensor, regularisation: float = 0.05) -> torch.Tensor:
    """Transport plan over all clips x labels with uniform marginals, cost = -score."""
    return sinkhorn(-scores.double(), regularisation, iterations=1000, tolerance=1e-6)


def zero_shot(scores: torch.Tensor, truth: torch.Tensor, regularisation: float = 0.05) -> dict[str, dict[str, float]]:
    return {"argmax": recalls(scores, truth), "balanced": recalls(balanced(scores, regularisation), truth)}


def confusions(scores: torch.Tensor, truth: torch.Tensor, labels: list[str], most: int = 8) -> list[str]:
    """The most frequent mistakes, as "true taken for predicted (count)"."""
    wrong = scores.argmax(dim=1) != truth
    pairs = Counter(zip(truth[wrong].tolist(), scores.argmax(dim=1)[wrong].tolist()))
    return [f"{labels[true]} taken for {labels[taken]} ({count} of {int((truth == true).sum())})" for (true, taken), count in pairs.most_common(most)]


@torch.no_grad()
def evaluate_directory(model_folder: Path, data: Path, cache: Path, wordings: dict[str, dict[str, str]]) -> dict:
    """ESC-50 fold 1 with an exported (float16) model, one prompt per label; `wordings` names sets of prompts by label.
    Each clip is heard "once" by the stream's encoder, by it "in context": as one turn of a recording that repeats it, and
    so by "both" encoders, as `earshot classify` and `earshot evaluate tagging` do."""
    model = ReferenceModel(model_folder)
    paths, categories = read_esc50(data / "eval/esc50-fold1")
    labels = sorted(set(categories))
    truth = torch.tensor([labels.index(category) for category in categories])
    clips = [load_samples(path) for path in tqdm(paths, desc="decode", mininterval=10)]
    text, results = TextEmbedder(cache), {}
    views = {
        "once": lambda clip: model.embed_audio(model.encoder.steps(clip).mean(dim=0)),
        "in context": lambda clip: model.embed_audio(model.encoder.steps_in_context(clip).mean(dim=0)),
        "both": model.embed_clip,
    }
    for view, embed in views.items():
        audio = torch.stack([embed(clip) for clip in tqdm(clips, desc=view, mininterval=10)])
        for name, prompts in wordings.items():
            sentences = np.asarray(text([prompts[label] for label in labels]))
            scores = similarity(audio, model.embed_text(torch.from_numpy(sentences)))
            figures = zero_shot(scores, truth, model.configuration["transport"]["clip_regularization"])
            results[f"{name}, {view}"] = figures | {"worst": confusions(scores, truth, labels)}
    return results


def fold_wordings(data: Path) -> dict[str, dict[str, str]]:
    """The prompts that figures are given for: class names, and the classes in other words."""
    labels = sorted(set(read_esc50(data / "eval/esc50-fold1")[1]))
    reworded = json.loads(Path(__file__).with_name("esc50_reworded.json").read_text())
    return {"names": {label: template(label) for label in labels}, "reworded": {label: template(reworded[label]) for label in labels}}


def main() -> None:
    parser = argparse.ArgumentParser(description="ESC-50 fold 1 figures of a model directory, as JSON")
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EARSHOT_DATA", TRAINING.parent.parent / "shared/data")))
    parser.add_argument("--cache", type=Path, default=TRAINING / "cache")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    print(json.dumps(evaluate_directory(arguments.model, arguments.data, arguments.cache, fold_wordings(arguments.data)), indent=1))


if __name__ == "__main__":
    main()
