"""The text side of the training data: phrases of tags and labels, captions with tags."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .data import Clip
from .encoder import TAG_COUNT
from .text import template

CAPTION_WEIGHTS = {"gama_audiocaps": 0.3, "gama_audioset": 0.3}
"""Sources of machine-made captions, a quarter of which is wrong; every other source weighs 1."""


def tag_names(teacher_folder: Path) -> list[str]:
    """Display names of the 527 tags in the order of the network's outputs."""
    with open(teacher_folder / "audioset_class_labels_indices.csv", newline="", encoding="utf-8") as file:
        return [row["display_name"] for row in csv.DictReader(file)]


@dataclass
class CaptionTags:
    """Captions and the tag distribution of each ([captions, 527], rows sum to 1), with sampling weights."""

    captions: list[str]
    targets: np.ndarray
    weights: np.ndarray


def read_caption_tags(text_folder: Path, names: list[str]) -> CaptionTags:
    column = {name: index for index, name in enumerate(names)}
    captions, rows, weights = [], [], []
    with open(text_folder / "caption_tags.tsv", encoding="utf-8") as file:
        next(file)
        for line in file:
            source, caption, tags = line.rstrip("\n").split("\t")
            indices = [column[tag] for tag in tags.split(";") if tag in column]
            if not indices:
                continue
            captions.append(caption)
            rows.append(indices)
            weights.append(CAPTION_WEIGHTS.get(source, 1.0))
    targets = np.zeros((len(rows), TAG_COUNT), np.float32)
    for row, indices in enumerate(rows):
        targets[row, indices] = 1.0 / len(indices)
    return CaptionTags(captions, targets, np.array(weights))


def with_templates(phrases: list[str]) -> list[str]:
    """Phrases as written and inside the prompt template, first letter lowered there."""
    inside = [template(lowered(phrase.rstrip("."))) for phrase in phrases]
    return list(phrases) + inside


def lowered(phrase: str) -> str:
    return phrase[:1].lower() + phrase[1:] if re.match(r"[A-Z][a-z ]", phrase) else phrase


def read_tag_phrases(text_folder: Path, names: list[str]) -> list[list[str]]:
    """For each tag its name and phrases, each with and without the template."""
    phrases = json.loads((text_folder / "tag_phrases.json").read_text())
    return [with_templates([name.lower(), *phrases.get(name, [])]) for name in names]


def read_label_phrases(train_folder: Path) -> dict[str, list[str]]:
    """For each training label its name and phrases, each with and without the template."""
    phrases = json.loads((train_folder / "label_captions.json").read_text())
    return {label: with_templates([label, *texts]) for label, texts in phrases.items()}


LIKENESSES = Path(__file__).with_name("likenesses.tsv")
"""Everyday sounds in words, most of them without an AudioSet class of their own, and the classes that they sound like."""


def read_likenesses(names: list[str], path: Path = LIKENESSES) -> dict[str, np.ndarray]:
    """For each sound a distribution over the tags ([527], even over those that the file names). ValueError for a line that
    is not a sound, a tab and tags, with a tag that is not one of `names`, or with a sound that the file has already."""
    column, result = {name: index for index, name in enumerate(names)}, {}
    with open(path, encoding="utf-8") as file:
        next(file)
        for number, line in enumerate(file, start=2):
            sound, _, tags = line.rstrip("\n").partition("\t")
            tags = tags.split(";")
            if sound in result:
                raise ValueError(f"{path}:{number}: {sound!r} is there already")
            if unknown := [tag for tag in tags if tag not in column]:
                raise ValueError(f"{path}:{number}: {unknown[0]!r} is not an AudioSet class")
            result[sound] = np.zeros(TAG_COUNT, np.float32)
            result[sound][[column[tag] for tag in tags]] = 1.0 / len(tags)
    return result


def all_strings(data: Path, clips: list[Clip]) -> list[str]:
    """Every string that training embeds."""
    names = tag_names(data / "teacher")
    strings = set(read_caption_tags(data / "text", names).captions)
    strings.update(with_templates(list(read_likenesses(names))))
    strings.update(phrase for phrases in read_tag_phrases(data / "text", names) for phrase in phrases)
    strings.update(phrase for phrases in read_label_phrases(data / "train").values() for phrase in phrases)
    strings.update(caption for clip in clips for caption in clip.captions)
    strings.update(phrase for clip in clips for phrase in with_templates(clip.labels))
    return sorted(strings)
