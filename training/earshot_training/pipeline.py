"""The stages of a training run; each leaves its result in a file and is skipped when that is there.

frames -> columns and teacher targets -> distillation -> heads -> fine-tuning -> heads again -> export
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from .bank import build_bank
from .card import write_card
from .columns import ColumnCache, Stretches, build_columns, build_stretches
from .corpus import read_caption_tags, read_label_phrases, read_tag_phrases, tag_names
from .data import Clip, FrameCache, build_cache, read_esc50, read_manifest
from .distill import StretchBatches, distill
from .encoder import AudioEncoder, measured_centre, teacher
from .evaluate import evaluate_directory, fold_wordings, zero_shot
from .export import export
from .features import StepCache, build_steps
from .finetune import FineTuner
from .heads import Heads, similarity
from .mixtures import build_mixtures, random_stretches
from .streaming import streaming_encoder
from .text import TextEmbedder
from .train_heads import HeadTrainer, TextBanks, text_banks


@dataclass
class Run:
    data: Path
    cache: Path
    folder: Path
    settings: dict
    text: TextEmbedder = field(init=False)

    def __post_init__(self) -> None:
        self.text = TextEmbedder(self.cache)
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(self.settings["seed"])
        torch.set_num_threads(self.settings["threads"])

    @property
    def checkpoint(self) -> str:
        return str(self.data / "teacher/mn04_as_mAP_432.safetensors")

    @property
    def split(self) -> int:
        return self.settings["encoder"]["split"]

    @cached_property
    def clips(self) -> list[Clip]:
        return read_manifest(self.data / "train")

    @cached_property
    def frames(self) -> FrameCache:
        return build_cache([clip.path for clip in self.clips], self.cache, "train")

    @cached_property
    def teacher(self) -> AudioEncoder:
        return teacher(self.checkpoint)

    def fresh_encoder(self) -> AudioEncoder:
        chosen = self.settings["encoder"]
        return streaming_encoder(self.checkpoint, chosen["lookahead"], chosen["squeeze_frames"], chosen["folding"])

    @cached_property
    def columns(self) -> ColumnCache:
        return build_columns(self.fresh_encoder(), self.split, self.frames, self.cache, "train")

    @cached_property
    def targets(self) -> list[tuple[ColumnCache, Stretches]]:
        """What distillation learns from: stretches of the clips, then augmented mixtures."""
        stretches = build_stretches(self.teacher, self.frames, self.cache, "train", self.settings["seed"])
        count, encoder = self.settings["mixtures"]["per_seed"], self.fresh_encoder()
        mixtures = [build_mixtures(encoder, self.teacher, self.split, self.frames, self.cache, count, seed) for seed in self.settings["mixtures"]["seeds"]]
        return [(self.columns, stretches), *mixtures]

    @property
    def mixed_clips(self) -> list[np.ndarray]:
        return [np.load(self.cache / f"mixtures-{seed}.clips.npy") for seed in self.settings["mixtures"]["seeds"]]

    @cached_property
    def banks(self) -> TextBanks:
        names = tag_names(self.data / "teacher")
        captions = read_caption_tags(self.data / "text", names) if self.settings["text"]["captions"] else None
        return text_banks(self.text, read_tag_phrases(self.data / "text", names), read_label_phrases(self.data / "train"), captions)

    def steps(self, encoder: AudioEncoder, name: str) -> StepCache:
        return build_steps(encoder, self.columns, self.split, self.folder / f"{name}.steps.npz")

    # Stages

    def distilled(self) -> AudioEncoder:
        """Every leg of `distill.legs` in turn, each from the weights of the one before."""
        path, encoder = self.folder / "distilled.pt", self.fresh_encoder()
        if not path.exists():
            for number, leg in enumerate(self.settings["distill"]["legs"], start=1):
                settings = self.settings["distill"] | leg
                targets = self.targets if leg["mixtures"] else self.targets[:1]
                encoder = distill(encoder, self.teacher, targets, self.folder / f"distill-{number}", settings)
            torch.save(encoder.state_dict(), path)
        encoder.load_state_dict(torch.load(path, weights_only=True))
        return encoder.eval().requires_grad_(False)

    def fresh_heads(self) -> Heads:
        torch.manual_seed(self.settings["seed"])
        return Heads(**self.settings["heads"])

    def heads_on(self, encoder: AudioEncoder, name: str) -> Heads:
        """Heads trained on a frozen encoder."""
        path, heads = self.folder / f"{name}.heads.pt", self.fresh_heads()
        if not path.exists():
            trainer = HeadTrainer(heads, encoder, self.steps(encoder, name), self.clips, self.banks, self.text, self.settings["train_heads"])
            probe = self.probe(encoder)
            heads = trainer.train(self.folder / name, probe)
            torch.save(heads.state_dict(), path)
            print(name, probe(heads), flush=True)
        heads.load_state_dict(torch.load(path, weights_only=True))
        return heads.eval()

    def finetuned(self, encoder: AudioEncoder, heads: Heads) -> AudioEncoder:
        """Backbone and heads together, leg after leg from a distilled encoder and its heads; gives the encoder with the
        mean of the legs' weights. (Heads trained along fit one leg's encoder; they are trained anew on the mean.)"""
        path = self.folder / "finetuned.pt"
        if not path.exists():
            steps, states = self.steps(encoder, "distilled"), []
            for number, leg in enumerate(self.settings["finetune"]["legs"], start=1):
                settings = self.settings["train_heads"] | self.settings["finetune"] | leg
                tuner = FineTuner(heads, encoder, steps, self.clips, self.banks, self.text, settings)
                tuner.connect(self.teacher, self.columns, [StretchBatches(*target, settings["teacher_frames"]) for target in self.targets])
                tuner.add_mixtures([(*target, clips) for target, clips in zip(self.targets[1:], self.mixed_clips)])
                heads = tuner.train(self.folder / f"finetune-{number}")
                states.append({name: value.clone() for name, value in tuner.finish().state_dict().items()})
            mean = {name: value if not value.is_floating_point() else sum(state[name] for state in states) / len(states) for name, value in states[0].items()}
            torch.save(mean, path)
        encoder.load_state_dict(torch.load(path, weights_only=True))
        return encoder.eval().requires_grad_(False)

    def write(self, encoder: AudioEncoder, heads: Heads, name: str, output: Path) -> None:
        bank = build_bank(encoder, heads, self.steps(encoder, name), self.clips, **self.settings["bank"])
        frames = random_stretches(self.frames, np.random.default_rng(self.settings["seed"]), 32, 400)
        centre = measured_centre(encoder, torch.from_numpy(frames)) + self.settings["export"]["centre_shift"]
        export(output, encoder, heads, bank, self.settings["export"] | {"center_frames": centre}, self.text)

    def report(self, encoder: AudioEncoder, heads: Heads, output: Path, command: str) -> None:
        """MODEL_CARD.md with figures measured on the exported files, whose JSON goes beside the logs."""
        results = evaluate_directory(output, self.data, self.cache, fold_wordings(self.data))
        (self.folder / "figures.json").write_text(json.dumps(results, indent=1))
        regularisation = self.settings["export"]["transport"]["clip_regularization"]
        write_card(output, self.clips, encoder, heads, results, self.split, regularisation, command)
        print(json.dumps(results, indent=1))

    # Development figures: looked at, never fitted to

    def probe(self, encoder: AudioEncoder):
        """A function from heads to fold 1 figures (per clip / balanced), class names and reworded labels."""
        paths, categories = read_esc50(self.data / "eval/esc50-fold1")
        labels = sorted(set(categories))
        truth = torch.tensor([labels.index(category) for category in categories])
        columns = build_columns(self.fresh_encoder(), self.split, build_cache(paths, self.cache, "esc50-fold1"), self.cache, "esc50-fold1")
        wordings = fold_wordings(self.data)
        text = {name: torch.from_numpy(self.text([prompts[label] for label in labels])) for name, prompts in wordings.items()}

        @torch.no_grad()
        def measure(heads: Heads) -> str:
            parts = []
            for view in ("once", "twice"):
                pooled = []
                for i in range(len(columns)):
                    rows = columns.clip(i)[: len(columns.clip(i)) // 2 * 2]
                    steps = encoder.finish(encoder.run(columns.tensor((rows if view == "once" else np.concatenate([rows, rows]))[None]), self.split))[0]
                    pooled.append(steps[-(len(rows) // 2) :].mean(0))
                pooled = torch.stack(pooled)
                hidden = encoder.hidden_of(pooled)
                audio = heads.audio_blocks(pooled, hidden, encoder.logits_of(hidden))
                for name, vectors in text.items():
                    blocks = heads.text_blocks(vectors)
                    scores = {"metric": similarity(heads.embed(heads.join(audio)), heads.embed(heads.join(blocks))),
                              "plain": heads.join(audio) @ heads.join(blocks).T, "tags": audio[0] @ blocks[0].T, "joint": audio[1] @ blocks[1].T}  # fmt: skip
                    for kind, matrix in scores.items():
                        result = zero_shot(matrix, truth)
                        parts.append(f"{view}.{name}.{kind} {result['argmax']['R@1']:.1f}/{result['balanced']['R@1']:.1f}")
            return "  ".join(parts)

        return measure
