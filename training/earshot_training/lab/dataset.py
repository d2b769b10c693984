"""What a run of the laboratory sees: features of clips, vectors of texts, and who belongs to whom."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ..corpus import read_caption_tags, read_label_phrases, read_tag_phrases, tag_names
from ..data import Clip, FrameCache, read_esc50, read_manifest
from ..encoder import teacher
from ..split import held_out_sources, split_rows
from ..text import TextEmbedder, template
from . import augment, features

SPLIT_SEED, FEATURE_SEED = 1, 1
"""The same for every run: seeds of runs vary what is trained, not what is measured."""


class Texts:
    """Sentence vectors by index, collected first and embedded at once."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self.vectors = np.zeros((0, 384), np.float32)

    def add(self, strings: list[str]) -> np.ndarray:
        return np.array([self.index.setdefault(string, len(self.index)) for string in strings], np.int64)

    def embed(self, embedder: TextEmbedder) -> None:
        self.vectors = embedder(list(self.index))


@dataclass
class ZeroShotSet:
    """Clips and candidate texts: which text is right for which clip. `texts` [candidates] of `Texts`,
    `relevant` [clips, candidates], the clips being rows of some feature matrix."""

    rows: np.ndarray
    texts: np.ndarray
    relevant: np.ndarray


@dataclass
class LabData:
    """`views` [clips, views, 896] standardised; lists are by row of the manifest and hold indices of `texts`."""

    views: np.ndarray
    training: np.ndarray
    labels: list[list[int]]
    captions: list[np.ndarray]
    phrases: list[np.ndarray]
    prompts: list[np.ndarray]
    dropped: list[np.ndarray]
    tag_captions: list[np.ndarray]
    tag_targets: np.ndarray
    mixtures: np.ndarray
    mixture_rows: np.ndarray
    mixture_texts: np.ndarray
    corpus_texts: dict[str, np.ndarray]
    corpus_targets: dict[str, np.ndarray]
    texts: Texts
    bank: np.ndarray
    """Features of the reference bank, [n, 896]."""
    pairs: ZeroShotSet
    held_out_labels: ZeroShotSet
    esc50: dict[str, ZeroShotSet] = field(default_factory=dict)
    esc50_views: np.ndarray = field(default_factory=lambda: np.zeros((0, features.FEATURE_SIZE), np.float32))
    augmented: dict[str, np.ndarray] = field(default_factory=dict)
    """Kind of augmentation -> a view of each clip, [clips, 896]."""
    degraded_views: np.ndarray | None = None
    """ESC-50 heard badly."""


def relevance(owned: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Texts that any clip owns, and who owns which: [texts], [clips, texts]."""
    texts = np.unique(np.concatenate(owned))
    return texts, np.stack([np.isin(texts, own) for own in owned])


def without_words(caption: str, share: float, rng: np.random.Generator) -> str:
    """The caption with about `share` of its words left out, at least one kept."""
    words = caption.split()
    kept = [word for word in words if rng.random() >= share]
    return " ".join(kept or words[-1:])


def round_robin(groups: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` rows spread over the groups: one of every group, then a second of every group, and so on."""
    order, seen, rounds = rng.permutation(len(groups)), {}, np.empty(len(groups), np.int64)
    for row in order:
        rounds[row] = seen.get(groups[row], 0)
        seen[groups[row]] = rounds[row] + 1
    return order[np.argsort(rounds[order], kind="stable")][:count]


def load(data: Path, frames: Path, cache: Path, kinds: list[str], degraded: bool, corpus_size: int = 20000) -> LabData:
    """Everything, from caches where they are filled. `frames` is the folder of the log-mel caches `train` and
    `esc50-fold1`, `cache` that of features and sentence embeddings. Of augmented views there are the `kinds` asked for."""
    clips, rng = read_manifest(data / "train"), np.random.default_rng(FEATURE_SEED)
    network = teacher(str(data / "teacher/mn04_as_mAP_432.safetensors"))
    training, evaluated = (np.array(rows) for rows in split_rows(clips, SPLIT_SEED))
    training = np.array([row for row in training if clips[row].labels and clips[row].captions])

    frame_cache = FrameCache(frames, "train")
    if [path.name for path in frame_cache.paths] != [clip.path.name for clip in clips]:
        raise SystemExit(f"{frames}: the frames there are not those of {data}/train/manifest.csv")
    views = features.embed_clips(network, frame_cache, cache / "lab-train.npy", crops=1, seed=FEATURE_SEED)
    fold = FrameCache(frames, "esc50-fold1")
    esc50 = features.embed_clips(network, fold, cache / "lab-esc50.npy", crops=0, seed=FEATURE_SEED)
    events = np.array([row for row in training if clips[row].kind == "event"])
    pairs = features.swap_groups(events, [set(clip.labels) for clip in clips], 1000, rng)
    mixtures = features.embed_mixtures(network, frame_cache, pairs, cache / "lab-mixtures.npz", FEATURE_SEED)
    under_training, under_measured = augment.background_halves(clips, held_out_sources(clips, SPLIT_SEED))
    augmented, badly = {}, None
    for kind in kinds:
        path = cache / f"lab-augmented-{kind}.npy"
        augmented[kind] = augment.embed_augmented(network, frame_cache, clips, training, kind, under_training, path, FEATURE_SEED)
    if degraded:
        badly = augment.embed_degraded(network, fold, frame_cache, clips, under_measured, cache / "lab-esc50-degraded.npy", FEATURE_SEED)

    with torch.no_grad():
        hidden = torch.from_numpy(views[:, 0, features.EMBEDDING_SIZE :].astype(np.float32))
        logits = network.logits_of(hidden).numpy()
    mean, spread = views[training].astype(np.float32).mean((0, 1)), views[training].astype(np.float32).std((0, 1)) + 1e-3
    standardised = lambda value: ((value.astype(np.float32) - mean) / spread).astype(np.float32)
    probability = 1 / (1 + np.exp(-logits))

    made = collect_texts(data, clips, training, evaluated, mixtures.rows, probability, corpus_size, rng)
    made["texts"].embed(TextEmbedder(cache))
    bank = round_robin(logits[training].argmax(1), 500, rng)
    return LabData(
        views=standardised(views), training=training, mixtures=standardised(mixtures.features), mixture_rows=mixtures.rows,
        tag_targets=(probability / probability.sum(1, keepdims=True)).astype(np.float32),
        bank=standardised(views[training[bank], -1]), esc50_views=standardised(esc50[:, 0]),
        augmented={kind: standardised(value) for kind, value in augmented.items()}, degraded_views=None if badly is None else standardised(badly), **made,
    )  # fmt: skip


def collect_texts(
    data: Path, clips: list[Clip], training: np.ndarray, evaluated: np.ndarray, pairs: np.ndarray, probability: np.ndarray,
    corpus_size: int, rng: np.random.Generator,
) -> dict:  # fmt: skip
    texts, names = Texts(), tag_names(data / "teacher")
    label_phrases, tag_phrases = read_label_phrases(data / "train"), read_tag_phrases(data / "text", names)
    label_index: dict[str, int] = {}
    short = {string: without_words(string, 0.3, rng) for string in sorted({text for clip in clips for text in clip.captions})}
    joined = [f"{rng.choice(clips[a].captions)} and {rng.choice(clips[b].captions)}" for a, b in pairs]
    tag_texts = [texts.add(phrases) for phrases in tag_phrases]
    likely = [np.flatnonzero((row > 0.3) & (row >= np.sort(row)[-3])) for row in probability]

    corpus = read_caption_tags(data / "text", names)
    chosen = rng.choice(np.flatnonzero(corpus.weights == 1), corpus_size, replace=False)
    owned = [texts.add(clips[row].captions) for row in evaluated]
    held_out = sorted({label for row in evaluated for label in clips[row].labels})
    categories = read_esc50(data / "eval/esc50-fold1")[1]
    classes = sorted(set(categories))
    reworded = json.loads(Path(__file__).parents[1].joinpath("esc50_reworded.json").read_text())
    right = np.array([[label == own for label in classes] for own in categories])
    wordings = {"names": [template(label) for label in classes], "reworded": [template(reworded[label]) for label in classes]}
    return {
        "texts": texts,
        "labels": [[label_index.setdefault(label, len(label_index)) for label in clip.labels] for clip in clips],
        "captions": [texts.add(clip.captions) for clip in clips],
        "phrases": [texts.add([phrase for label in clip.labels for phrase in label_phrases[label]]) for clip in clips],
        "prompts": [texts.add([template(label) for label in clip.labels]) for clip in clips],
        "dropped": [texts.add([short[caption] for caption in clip.captions]) for clip in clips],
        "tag_captions": [np.concatenate([tag_texts[tag] for tag in tags]) if len(tags) else np.zeros(0, np.int64) for tags in likely],
        "mixture_texts": texts.add(joined),
        "corpus_texts": {
            "captions": texts.add([corpus.captions[row] for row in chosen]),
            "phrases": np.concatenate(tag_texts),
        },
        "corpus_targets": {
            "captions": corpus.targets[chosen],
            "phrases": np.repeat(np.eye(len(names), dtype=np.float32), [len(tags) for tags in tag_texts], axis=0),
        },
        "pairs": ZeroShotSet(evaluated, *relevance(owned)),
        "held_out_labels": ZeroShotSet(
            evaluated, texts.add([template(label) for label in held_out]),
            np.array([[label in clips[row].labels for label in held_out] for row in evaluated]),
        ),
        "esc50": {name: ZeroShotSet(np.arange(len(categories)), texts.add(prompts), right) for name, prompts in wordings.items()},
    }  # fmt: skip
