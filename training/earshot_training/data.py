"""Audio files, manifests, and the on-disk cache of log-mel frames.

A cache is three files: `<name>.frames` (float16, [total frames, 128], frames of all clips one after the
other), `<name>.index.npy` (int64 [clips, 3]: first frame, frame count, sample count) and `<name>.json`
(the paths, in order). Each clip is followed by `TAIL_SAMPLES` zero samples before the front end, so that
whatever part of it the encoder's lookahead needs at the end of a clip can be sliced off later.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from tqdm import tqdm

from .frontend import FRONT_END, LogMel, frame_count

TAIL_SAMPLES = 32000
SAMPLE_RATE = FRONT_END["sample_rate"]


@dataclass
class Clip:
    """One row of a manifest."""

    path: Path
    source: str
    kind: str
    labels: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    source_rate: int = 32000
    seconds: float = 0.0
    licence: str = ""


def read_manifest(train_folder: Path) -> list[Clip]:
    """Rows of `train/manifest.csv`."""
    with open(train_folder / "manifest.csv", newline="", encoding="utf-8") as file:
        return [
            Clip(
                path=train_folder / row["path"],
                source=row["source"],
                kind=row["kind"],
                labels=[label for label in row["labels"].split(";") if label],
                captions=[caption for caption in row["captions"].split("|") if caption],
                source_rate=int(row["source_rate"]),
                seconds=float(row["seconds"]),
                licence=row["licence"],
            )
            for row in csv.DictReader(file)
        ]


def read_esc50(folder: Path) -> tuple[list[Path], list[str]]:
    """Paths and label names (underscores as spaces) of a folder in the layout of ESC-50."""
    table = next(folder.glob("*.csv"))
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [folder / "audio" / row["filename"] for row in rows], [row["category"].replace("_", " ") for row in rows]


def load_samples(path: Path) -> np.ndarray:
    """Mono float32 samples of a file at the model's rate. Opus decodes at 48 kHz, whatever was encoded."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE)


def _clip_frames(path: Path) -> tuple[np.ndarray, int]:
    samples = load_samples(path)
    padded = torch.from_numpy(np.concatenate([samples, np.zeros(TAIL_SAMPLES, np.float32)]))
    with torch.no_grad():
        return _worker_frontend(padded).numpy().astype(np.float16), len(samples)


def _start_worker() -> None:
    global _worker_frontend
    torch.set_num_threads(1)
    _worker_frontend = LogMel()


class FrameCache:
    """Read access to a cache; `clip(i)` gives the float16 frames of clip i with its silent tail."""

    def __init__(self, folder: Path, name: str):
        self.paths = [Path(path) for path in json.loads((folder / f"{name}.json").read_text())]
        self.index = np.load(folder / f"{name}.index.npy")
        self.frames = np.memmap(folder / f"{name}.frames", dtype=np.float16, mode="r").reshape(-1, FRONT_END["mel_count"])

    def __len__(self) -> int:
        return len(self.index)

    def into_memory(self) -> None:
        """Reads all frames at once: random access to a mapped file costs a page fault per frame or so."""
        if isinstance(self.frames, np.memmap):
            self.frames = np.fromfile(self.frames.filename, np.float16).reshape(self.frames.shape)

    def frame_count(self, clip: int, tail_samples: int = 0) -> int:
        """Frames of the clip when `tail_samples` zeros follow it."""
        return max(1, frame_count(int(self.index[clip, 2]) + tail_samples))

    def clip(self, clip: int, tail_samples: int = 0) -> np.ndarray:
        first = int(self.index[clip, 0])
        return self.frames[first : first + self.frame_count(clip, tail_samples)]


def build_cache(paths: list[Path], folder: Path, name: str, workers: int = 2) -> FrameCache:
    """Decodes `paths` into a cache, or opens the one already there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / f"{name}.index.npy").exists():
        index, first = [], 0
        context = multiprocessing.get_context("fork")
        with context.Pool(workers, initializer=_start_worker) as pool, open(folder / f"{name}.frames", "wb") as file:
            for frames, sample_count in tqdm(pool.imap(_clip_frames, paths, chunksize=8), total=len(paths), desc=name, mininterval=5):
                file.write(frames.tobytes())
                index.append((first, len(frames), sample_count))
                first += len(frames)
        (folder / f"{name}.json").write_text(json.dumps([str(path) for path in paths]))
        np.save(folder / f"{name}.index.npy", np.array(index, dtype=np.int64))
    return FrameCache(folder, name)
