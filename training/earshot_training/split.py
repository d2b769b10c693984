"""Held-out split of the training recordings, by source.

Clips of one source share rooms, microphones and editing, so a split by clip would measure how well a source is
recognised. Whole sources are held out, in the order of a hash of their names: the choice stays the same when clips
are added to other sources, and nothing but the seed decides it.
"""

from __future__ import annotations

import hashlib
from collections import Counter

from .data import Clip

HELD_OUT_SHARE = 0.06
"""Share of event clips that is held out, at least."""
LARGEST_SOURCE = 0.008
"""Sources with a larger share of all clips than this stay in training."""


def held_out_sources(clips: list[Clip], seed: int = 1) -> set[str]:
    """Names of the sources that are not trained on. A source is skipped when it is large (`LARGEST_SOURCE`), when it
    has no event clips, or when a label would have no training clip left without it."""
    events = Counter(clip.source for clip in clips if clip.kind == "event")
    sizes = Counter(clip.source for clip in clips)
    labels: dict[str, Counter] = {}
    for clip in clips:
        labels.setdefault(clip.source, Counter()).update(clip.labels)
    left = sum(labels.values(), Counter())
    chosen, count = set(), 0
    for source in sorted(events, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest()):
        if count >= HELD_OUT_SHARE * events.total():
            break
        if sizes[source] > LARGEST_SOURCE * len(clips) or any(left[label] <= own for label, own in labels[source].items()):
            continue
        left -= labels[source]
        chosen.add(source)
        count += events[source]
    return chosen


def split_rows(clips: list[Clip], seed: int = 1) -> tuple[list[int], list[int]]:
    """Rows to train on, and held-out rows to evaluate: event clips with a label and a caption. Ambience and background
    clips of held-out sources are in neither list."""
    held_out = held_out_sources(clips, seed)
    training = [row for row, clip in enumerate(clips) if clip.source not in held_out]
    known = {label for row in training for label in clips[row].labels}
    evaluated = [
        row for row, clip in enumerate(clips)
        if clip.source in held_out and clip.kind == "event" and clip.captions and clip.labels and known.issuperset(clip.labels)
    ]  # fmt: skip
    return training, evaluated
