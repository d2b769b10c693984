"""The stages of a training run; each leaves its result in a file and is skipped when that is there.

frames -> columns and teacher targets -> distillation -> heads -> fine-tuning -> heads again -> streams, round after round
-> heads on whole clips -> second pass -> export, with the banks and what texts recall
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from .bank import build_bank
from .card import write_card
from .columns import ColumnCache, Stretches, build_columns, build_stretches
from .corpus import all_strings, read_caption_tags, read_label_phrases, read_likenesses, read_tag_phrases, tag_names
from .data import Clip, FrameCache, build_cache, read_esc50, read_manifest
from .distill import StretchBatches, distill
from .encoder import AudioEncoder, measured_centre, teacher
from .evaluate import evaluate_directory, fold_wordings, zero_shot
from .export import export
from .features import StepCache, build_steps, padded_frames, steps_of_clips
from .finetune import FineTuner
from .heads import Heads, similarity
from .mixtures import build_mixtures, random_stretches
from .phrases import TextBanks, text_banks
from .reference import ReferenceModel
from .retrieval import build_retrieval
from .split import split_rows
from .start import start_from
from .streaming import SYMMETRIC_LOOKAHEAD, streaming_encoder
from .text import TextEmbedder, template
from .train_heads import HeadTrainer
from .train_streams import StreamTrainer


def mean_of(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    """Weights between two states of one module: `share` of the first."""
    return {name: torch.lerp(value, first[name], share) if value.is_floating_point() else value for name, value in second.items()}


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

    @cached_property
    def clips(self) -> list[Clip]:
        return read_manifest(self.data / "train")

    @cached_property
    def usable(self) -> np.ndarray:
        """Which clips may be learned from: all but those of held-out sources."""
        usable = np.zeros(len(self.clips), bool)
        usable[split_rows(self.clips)[0]] = True
        return usable

    @cached_property
    def frames(self) -> FrameCache:
        return build_cache([clip.path for clip in self.clips], self.cache, "train")

    @cached_property
    def banks(self) -> TextBanks:
        names = tag_names(self.data / "teacher")
        self.text.add(all_strings(self.data, self.clips))
        captions = read_caption_tags(self.data / "text", names)
        return text_banks(self.text, read_tag_phrases(self.data / "text", names), read_label_phrases(self.data / "train"), captions, read_likenesses(names))

    @property
    def checkpoint(self) -> str:
        return str(self.data / "teacher/mn04_as_mAP_432.safetensors")

    @property
    def split(self) -> int:
        return self.settings["encoder"]["split"]

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
        stretches = build_stretches(self.teacher, self.frames, self.usable, self.cache, "train", self.settings["seed"])
        count, encoder = self.settings["mixtures"]["per_seed"], self.fresh_encoder()
        mixtures = [build_mixtures(encoder, self.teacher, self.split, self.frames, self.usable, self.cache, count, seed) for seed in self.settings["mixtures"]["seeds"]]
        return [(self.columns, stretches), *mixtures]

    @property
    def mixed_clips(self) -> list[np.ndarray]:
        return [np.load(self.cache / f"mixtures-{seed}.clips.npy") for seed in self.settings["mixtures"]["seeds"]]

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
            trainer = HeadTrainer(heads, encoder, self.steps(encoder, name), self.clips, self.usable, self.banks, self.text, self.settings["train_heads"])
            probe = lambda now: self.probe(encoder, now)
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
                tuner = FineTuner(heads, encoder, steps, self.clips, self.usable, self.banks, self.text, settings)
                tuner.connect(self.teacher, self.columns, [StretchBatches(*target, settings["teacher_frames"]) for target in self.targets])
                tuner.add_mixtures([(*target, clips) for target, clips in zip(self.targets[1:], self.mixed_clips)])
                heads = tuner.train(self.folder / f"finetune-{number}")
                states.append({name: value.clone() for name, value in tuner.finish().state_dict().items()})
            mean = {name: value if not value.is_floating_point() else sum(state[name] for state in states) / len(states) for name, value in states[0].items()}
            torch.save(mean, path)
        encoder.load_state_dict(torch.load(path, weights_only=True))
        return encoder.eval().requires_grad_(False)

    def tuned_on_streams(self, encoder: AudioEncoder, heads: Heads) -> tuple[AudioEncoder, Heads]:
        """Encoder and heads end to end on simulated streams; each round gives a mean of the weights before and after,
        which is better than either."""
        for number, change in enumerate(self.settings["streams"]["rounds"], start=1):
            path = self.folder / f"streams-{number}.pt"
            if not path.exists():
                settings = self.settings["streams"] | change
                settings["simulation"] = settings["simulation"] | {"modes": change["modes"]}
                before = copy.deepcopy((encoder.state_dict(), heads.state_dict()))
                trainer = StreamTrainer(encoder, heads, self.teacher, self.frames, self.clips, self.usable, self.banks, self.text, settings)
                trainer.train(self.folder / f"streams-{number}", lambda: self.probe(encoder, heads))
                states = [mean_of(first, module.state_dict(), settings["start_share"]) for first, module in zip(before, (encoder, heads))]
                torch.save({"encoder": states[0], "heads": states[1]}, path)
            state = torch.load(path, weights_only=True)
            encoder.load_state_dict(state["encoder"])
            heads.load_state_dict(state["heads"])
        return encoder.eval().requires_grad_(False), heads.eval().requires_grad_(False)

    def clip_steps(self, encoder: AudioEncoder) -> StepCache:
        return steps_of_clips(encoder, self.frames, self.folder / "clips.steps.npz")

    def tuned_on_clips(self, encoder: AudioEncoder, heads: Heads) -> Heads:
        """Heads that went on learning from whole clips on the finished encoder, averaged with those before."""
        path, chosen = self.folder / "clips.heads.pt", self.settings["train_heads"] | self.settings["tune_heads"]
        if not path.exists():
            before = copy.deepcopy(heads.state_dict())
            trainer = HeadTrainer(heads, encoder, self.clip_steps(encoder), self.clips, self.usable, self.banks, self.text, chosen)
            heads = trainer.train(self.folder / "clips")
            torch.save(mean_of(before, heads.state_dict(), chosen["start_share"]), path)
        heads.load_state_dict(torch.load(path, weights_only=True))
        return heads.eval().requires_grad_(False)

    def tuned_on_words(self, encoder: AudioEncoder, heads: Heads) -> Heads:
        """Heads whose way from sentences to tags went on alone. Trained with the rest, it learns which one tag tells a
        label's few recordings from those of others ("washing machine": Sewing machine); here what words mean comes first."""
        path, chosen = self.folder / "words.heads.pt", self.settings["train_heads"] | self.settings["tune_words"]
        if not path.exists():
            states = []
            for seed in chosen["seeds"]:
                trained = copy.deepcopy(heads)
                trainer = HeadTrainer(trained, encoder, self.clip_steps(encoder), self.clips, self.usable, self.banks, self.text, chosen | {"seed": seed})
                states.append(trainer.train(self.folder / f"words-{seed}").text_tags.state_dict())
            torch.save({name: sum(state[name] for state in states) / len(states) for name in states[0]}, path)
        heads.text_tags.load_state_dict(torch.load(path, weights_only=True))
        return heads.eval().requires_grad_(False)

    def second_pass(self, heads: Heads) -> tuple[AudioEncoder, Heads]:
        """The second encoder of whole clips: the published weights with their symmetric kernels. What the stream's encoder
        forgot in training, it knows. And the heads, which are those of the stream but for the spread of its tags."""
        encoder, heads = streaming_encoder(self.checkpoint, SYMMETRIC_LOOKAHEAD, self.settings["second_pass"]["squeeze_frames"]), copy.deepcopy(heads)
        encoder.eval().requires_grad_(False)
        steps = steps_of_clips(encoder, self.frames, self.folder / "second.steps.npz")
        chosen = self.settings["train_heads"] | self.settings["tune_heads"]
        # A trainer begins by measuring the mean and spread of the tags; nothing is trained here.
        HeadTrainer(heads, encoder, steps, self.clips, self.usable, self.banks, self.text, chosen)
        return encoder, heads.eval().requires_grad_(False)

    def from_directory(self, folder: Path) -> tuple[AudioEncoder, Heads]:
        """An exported model, in place of the stages before it."""
        encoder, heads = self.fresh_encoder(), self.fresh_heads()
        start_from(folder, encoder, heads)
        return encoder, heads

    def write(self, encoder: AudioEncoder, heads: Heads, second: tuple[AudioEncoder, Heads], output: Path) -> None:
        steps = self.clip_steps(encoder)
        bank = build_bank(encoder, heads, steps, self.clips, self.usable, **self.settings["bank"])
        retrieval = build_retrieval(encoder, heads, steps, self.clips, self.usable, read_label_phrases(self.data / "train"), self.text)
        frames = random_stretches(self.frames, np.random.default_rng(self.settings["seed"]), 32, 400)
        centre = measured_centre(encoder, torch.from_numpy(frames)) + self.settings["export"]["centre_shift"]
        settings = self.settings["export"] | {"center_frames": centre, "second_share": self.settings["second_pass"]["share"]}
        export(output, encoder, heads, second, bank, retrieval, settings, self.text)

    def report(self, encoder: AudioEncoder, heads: Heads, second: AudioEncoder, output: Path, unheard: str, command: str) -> None:
        """MODEL_CARD.md with figures measured on the exported files, whose JSON goes beside the logs. `unheard`: which stages
        did not hear the held-out sources."""
        results = evaluate_directory(output, self.data, self.cache, fold_wordings(self.data))
        (self.folder / "figures.json").write_text(json.dumps(results, indent=1))
        regularisation, model = self.settings["export"]["transport"]["clip_regularization"], ReferenceModel(output)
        held_out = self.held_out(encoder, heads, model.embed_text)
        write_card(output, self.clips, encoder, heads, second, results, held_out, self.settings["streams"]["frozen"], regularisation, unheard, command)
        print(json.dumps(results, indent=1))

    # Development figures: looked at, never fitted to

    @cached_property
    def fold(self) -> tuple[FrameCache, torch.Tensor, dict[str, torch.Tensor]]:
        """Fold 1: frames, truth and the embedded prompts of each wording."""
        paths, categories = read_esc50(self.data / "eval/esc50-fold1")
        labels = sorted(set(categories))
        truth = torch.tensor([labels.index(category) for category in categories])
        wordings = fold_wordings(self.data)
        text = {name: torch.from_numpy(self.text([prompts[label] for label in labels])) for name, prompts in wordings.items()}
        return build_cache(paths, self.cache, "esc50-fold1"), truth, text

    @torch.no_grad()
    def probe(self, encoder: AudioEncoder, heads: Heads) -> str:
        """Fold 1 (argmax / balanced; a clip heard once and twice; class names and other words), then the held-out sources."""
        frames, truth, text = self.fold
        parts = []
        for view in ("once", "twice"):
            pooled = []
            for clip in range(len(frames)):
                value = padded_frames(encoder, frames, clip)
                size = encoder.plan_step
                if view == "twice":
                    sound = frames.clip(clip)
                    value = np.concatenate([sound[: len(sound) // size * size], value])
                steps = encoder(torch.from_numpy(np.asarray(value, np.float32))[None])[0]
                pooled.append(steps[-(frames.frame_count(clip) // size) :].mean(0))
            audio = self.blocks(encoder, heads, torch.stack(pooled))
            for name, vectors in text.items():
                words = heads.text_blocks(vectors)
                scores = {"metric": similarity(heads.embed(heads.join(audio)), heads.embed(heads.join(words)))}
                if view == "twice":
                    scores |= {"tags": audio[0] @ words[0].T, "joint": audio[1] @ words[1].T}
                for kind, matrix in scores.items():
                    result = zero_shot(matrix, truth)
                    parts.append(f"{view}.{name}.{kind} {result['argmax']['R@1']:.1f}/{result['balanced']['R@1']:.1f}")
        held_out = self.held_out(encoder, heads)
        return "  ".join(parts) + f"  held out R@1 {held_out['R@1']:.1f} R@5 {held_out['R@5']:.1f} of {held_out['labels']} labels"

    @staticmethod
    def blocks(encoder: AudioEncoder, heads: Heads, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = encoder.hidden_of(pooled)
        return heads.audio_blocks(pooled, hidden, encoder.logits_of(hidden))

    @torch.no_grad()
    def held_out(self, encoder: AudioEncoder, heads: Heads, embed_text=None, longest: int = 1000) -> dict[str, float]:
        """Clips of sources that were not trained on (their first 10 s, heard once), against all labels that occur among
        them, one prompt each; a hit is any label of the clip. `embed_text`: sentence embeddings -> metric space, by
        default what the heads give."""
        _, rows = split_rows(self.clips)
        labels = sorted({label for row in rows for label in self.clips[row].labels})
        embed_text = embed_text or (lambda text: heads.embed(heads.text_vector(text)))
        text = embed_text(torch.from_numpy(self.text([template(label) for label in labels])))
        pooled = []
        for row in rows:
            value = np.asarray(padded_frames(encoder, self.frames, row, longest), np.float32)
            pooled.append(encoder(torch.from_numpy(value)[None])[0].mean(0))
        scores = similarity(heads.embed(heads.join(self.blocks(encoder, heads, torch.stack(pooled)))), text)
        truth = torch.tensor([[label in self.clips[row].labels for label in labels] for row in rows])
        ranked = truth.gather(1, scores.argsort(dim=1, descending=True))
        hits = lambda count: 100 * ranked[:, :count].any(1).double().mean().item()
        return {"clips": len(rows), "labels": len(labels), "R@1": hits(1), "R@5": hits(5)}
