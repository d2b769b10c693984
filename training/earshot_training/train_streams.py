"""Trains encoder and heads end to end on simulated streams (see streams.py).

Terms of the loss, weighted by `weights`:
- teacher: embedding, hidden layer and tags of the main window as the published network gives them (whole stretch heard);
- tags: sentences -> tags, on captions with AudioSet labels and on phrases of the tags;
- labels, tag_labels: cross entropy of the joint block, and of the tag block, over all training labels (one phrase each);
- distil: the joint block against a phrase of each tag, with the encoder's own tags as target;
- captions: main windows against their captions, both ways, clips of a common label counted as a pair too;
- transport: the m-LTM loss on the whole vector under the metric, labels and captions;
- open_set: cross entropy on the whole vector over all labels and "nothing", which has a learned price and is the answer
  for background windows: so one threshold separates all labels from what is always there.
Labels that say nearly the same as a true one (`synonym` or more in cosine of their phrases' mean) are left out of the
cross entropies. In these every label's score is raised by `prior` times the log of its share of the clips drawn (logit
adjustment, arXiv 2007.07314): the frequent label of a pair wins in training for being frequent, so its score need not,
and labels are equally likely to those who only compare scores. The result is the running average of the weights.
"""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from .data import Clip, FrameCache
from .distill import distillation_loss
from .encoder import TAG_COUNT, AudioEncoder
from .heads import Heads, similarity
from .phrases import Phrases, TextBanks
from .streams import BACKGROUND, MAIN, ONSET, StreamBatch, StreamSimulator
from .text import TextEmbedder
from .transport import mltm_loss

def fastest_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def reduced_precision(device: torch.device) -> bool:
    """Whether bfloat16 is faster for the encoder: on GPUs, and on processors with AMX. With AVX-512 alone the backward
    pass of depthwise convolutions is slower than in float32."""
    return device.type == "cuda" or torch.cpu._is_amx_tile_supported()


LOSS_NAMES = ("teacher", "tags", "labels", "tag_labels", "distil", "captions", "transport", "open_set")


def cross_entropy(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted mean over rows of the cross entropy with target distributions."""
    rows = -(target * torch.log_softmax(logits, dim=1)).sum(1)
    return (weight * rows).sum() / weight.sum()


class StreamTrainer:
    def __init__(
        self, encoder: AudioEncoder, heads: Heads, teacher: AudioEncoder, cache: FrameCache, clips: list[Clip], usable: np.ndarray, banks: TextBanks,
        text: TextEmbedder, settings: dict, device: torch.device | None = None,
    ):  # fmt: skip
        self.device = fastest_device() if device is None else device
        self.reduced = reduced_precision(self.device) if settings["bfloat16"] is None else settings["bfloat16"]
        encoder.to(self.device), heads.to(self.device), teacher.to(self.device), banks.to(self.device)
        self.encoder, self.heads, self.banks, self.settings = encoder, heads, banks, settings
        self.teacher = teacher.to(memory_format=torch.channels_last)
        place = {name: index for index, name in enumerate(banks.label_names)}
        self.labels = torch.zeros(len(clips) + 1, len(place), dtype=torch.bool)  # the last row, -1, is for no clip
        for row, clip in enumerate(clips):
            for label in clip.labels:
                self.labels[row, place[label]] = True
        self.captions = Phrases(text, [clip.captions or [""] for clip in clips]).to(self.device)
        known = self.labels[:-1].any(dim=1).numpy() & usable & np.array([bool(clip.captions) for clip in clips])
        frequency = self.labels[:-1][torch.from_numpy(known)].sum(0).clamp_min(1).double()
        rarity = (self.labels[:-1].double() / frequency.pow(settings["rarity"])).sum(1) / self.labels[:-1].sum(1).clamp_min(1)
        self.streams = StreamSimulator(cache, clips, np.where(known, rarity.numpy(), 0.0), encoder.plan, settings["simulation"] | {key: settings[key] for key in ("seed", "steps", "batch")} | {"usable": usable})
        means = torch.stack([functional.normalize(group.mean(0), dim=0) for group in banks.label_vectors.groups()])
        self.near = (means @ means.T) >= settings["synonym"]
        drawn = torch.from_numpy(self.streams.weights) @ (self.labels[:-1] / self.labels[:-1].sum(1, keepdim=True).clamp_min(1)).double()
        log_prior = drawn.clamp_min(drawn[drawn > 0].min()).log().float()
        self.prior = (settings["prior"] * (log_prior - log_prior.mean())).to(self.device)
        self.labels = self.labels.to(self.device)
        self.scale = nn.ParameterDict({"labels": nn.Parameter(torch.tensor(math.log(settings["scale"]))), "open_set": nn.Parameter(torch.tensor(math.log(settings["scale"]))), "price": nn.Parameter(torch.tensor(-1.0))}).to(self.device)  # fmt: skip

    @torch.no_grad()
    def start_price(self, batches: int = 6) -> None:
        """The price of nothing begins as the mean similarity of background windows to their nearest label."""
        rng, nearest = np.random.default_rng(self.settings["seed"]), []
        label = self.heads.embed(self.heads.text_vector(self.banks.label_vectors.pick(rng)))
        for index in range(batches):
            batch = self.streams[self.settings["steps"] + index].to(self.device)
            audio = pooled(self.encoder(batch.frames), batch.stream, batch.first, batch.last)[batch.kind == BACKGROUND]
            hidden = self.encoder.hidden_of(audio)
            vector = self.heads.audio_vector(audio, hidden, self.encoder.logits_of(hidden))
            nearest.append(similarity(self.heads.embed(vector), label).amax(1))
        if len(torch.cat(nearest)):
            self.scale["price"].copy_(torch.cat(nearest).mean())

    @torch.no_grad()
    def taught(self, batch: StreamBatch, windows: torch.Tensor) -> torch.Tensor:
        """The teacher's embedding of windows [n, 384]. It hears nothing but the window: with much silence around, its
        squeeze-and-excite over the whole clip gives extreme values."""
        size, targets = self.streams.step, []
        for stream, first, last in zip(batch.stream[windows], batch.first[windows], batch.last[windows]):
            targets.append(self.teacher(batch.frames[stream, first * size : max(first + 4, last) * size][None])[0].mean(0))
        return torch.stack(targets)

    def tag_loss(self, rng: np.random.Generator) -> torch.Tensor:
        """Cross entropy of predicted tags: half captions, half tag phrases."""
        banks, half = self.banks, self.settings["text_batch"] // 2
        which = rng.integers(0, TAG_COUNT, half)
        predicted = torch.log_softmax(self.heads.text_tags(banks.tag_vectors.pick(rng, which)), dim=1)
        loss = -predicted[torch.arange(half), which].mean()
        rows = torch.from_numpy(rng.choice(len(banks.captions), half, p=banks.caption_weights)).to(self.device)
        predicted = torch.log_softmax(self.heads.text_tags(banks.captions[rows]), dim=1)
        return 0.5 * loss - 0.5 * (banks.caption_targets[rows] * predicted).sum(1).mean()

    def losses(self, batch: StreamBatch, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        settings, heads, banks, encoder = self.settings, self.heads, self.banks, self.encoder
        value = batch.frames.transpose(1, 2)[:, None].contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.reduced):
            with torch.no_grad():
                value = encoder.run(value, 0, settings["frozen"])
            steps = encoder.finish(encoder.run(value, settings["frozen"]))
        audio = pooled(steps.float(), batch.stream, batch.first, batch.last)
        hidden = encoder.hidden_of(audio)
        logits = encoder.logits_of(hidden)
        tag_block, joint = heads.audio_blocks(audio, hidden, logits)
        main, sounding = batch.kind == MAIN, batch.kind != BACKGROUND
        weight = torch.where(batch.kind == ONSET, settings["onset_weight"], 1.0)
        truth = self.labels[batch.clips[:, 0]] | self.labels[batch.clips[:, 1]]
        target = truth.float() / truth.sum(1, keepdim=True).clamp_min(1)
        excluded = ((truth.float() @ self.near.float()) > 0) & ~truth
        scale = self.scale["labels"].exp().clamp_max(100)

        result = {"tags": self.tag_loss(rng)}
        taught = torch.arange(len(main), device=self.device)[main & (batch.stream < settings["teacher_streams"])]
        result["teacher"] = distillation_loss(encoder, audio[taught], self.taught(batch, taught), self.teacher)[0]

        label_text = banks.label_vectors.pick(rng)
        label_joint = functional.normalize(heads.text_joint(label_text), dim=1)
        label_tags = functional.normalize(torch.softmax(heads.sharpness * heads.text_tags(label_text), dim=1), dim=1)
        over = lambda scores: (scale * scores + self.prior).masked_fill(excluded[sounding], -1e4)
        result["labels"] = cross_entropy(over(joint[sounding] @ label_joint.T), target[sounding], weight[sounding])
        result["tag_labels"] = cross_entropy(over(tag_block[sounding] @ label_tags.T), target[sounding], weight[sounding])

        own = logits.detach()[main].sigmoid()
        tag_joint = functional.normalize(heads.text_joint(banks.tag_vectors.pick(rng)), dim=1)
        result["distil"] = cross_entropy(scale * joint[main] @ tag_joint.T, own / own.sum(1, keepdim=True), weight[main])

        one, two = batch.clips[main].T
        described = torch.where((two >= 0) & torch.from_numpy(rng.random(len(one)) < 0.5).to(self.device), two, one)
        caption_text = self.captions.pick(rng, described.cpu().numpy())
        caption_joint = functional.normalize(heads.text_joint(caption_text), dim=1)
        same = (truth[main].float() @ self.labels[described].float().T > 0).float()
        pair = scale * joint[main] @ caption_joint.T
        across = lambda scores, ideal: cross_entropy(scores, ideal / ideal.sum(1, keepdim=True).clamp_min(1), ideal.sum(1).clamp_max(1))
        result["captions"] = 0.5 * (across(pair, same) + across(pair.T, same.T))

        embedded = heads.embed(heads.join((tag_block, joint)))
        label = heads.embed(heads.join((label_tags, label_joint)))
        scores = similarity(embedded, label)
        present = truth[main].any(0)
        plan = target[main][:, present] / main.sum()
        result["transport"] = mltm_loss(scores[main][:, present], plan, settings["regularisation"], settings["iterations"])
        caption = heads.embed(heads.text_vector(caption_text))
        paired = same / same.sum(1, keepdim=True).clamp_min(1)
        result["transport"] = result["transport"] + 0.5 * mltm_loss(similarity(embedded[main], caption), paired / paired.sum(), settings["regularisation"], settings["iterations"])

        open_scale = self.scale["open_set"].exp().clamp_max(100)
        nothing = self.scale["price"].expand(len(scores), 1)
        with_nothing = torch.cat([(open_scale * scores + self.prior).masked_fill(excluded, -1e4), open_scale * nothing], dim=1)
        open_target = torch.cat([target, (~sounding).float()[:, None]], dim=1)
        result["open_set"] = cross_entropy(with_nothing, open_target, weight)
        return result

    def train(self, run: Path, probe) -> None:
        """Trains in place, leaving the averaged weights; continues from `run`/checkpoint.pt where there is one.
        `probe()` is printed now and then, measured with the averaged weights."""
        settings, encoder, heads = self.settings, self.encoder, self.heads
        run.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(settings["seed"])
        encoder.to(memory_format=torch.channels_last).requires_grad_(False)
        modules = (*encoder.layers[settings["frozen"] :], encoder.last, encoder.last_norm, encoder.hidden, encoder.tags)
        backbone = [parameter.requires_grad_(True) for module in modules for parameter in module.parameters()]
        groups = [
            {"params": backbone, "base": settings["backbone_lr"], "weight_decay": 1e-4},
            {"params": [parameter for name, parameter in heads.named_parameters() if name != "factor"], "base": settings["lr"]},
            {"params": [heads.factor], "base": settings["metric_lr"], "weight_decay": 0.0},
            {"params": [self.scale["labels"], self.scale["open_set"]], "base": settings["lr"], "weight_decay": 0.0},
            {"params": [self.scale["price"]], "base": settings["price_lr"], "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(groups, lr=settings["lr"], weight_decay=settings["weight_decay"])
        parts = nn.ModuleDict({"encoder": encoder, "heads": heads, "scale": self.scale})
        average, begin, checkpoint = {name: value.clone() for name, value in parts.state_dict().items()}, 0, run / "checkpoint.pt"
        if checkpoint.exists():
            state = torch.load(checkpoint, weights_only=True, map_location=self.device)
            parts.load_state_dict(state["parts"])
            optimiser.load_state_dict(state["optimiser"])
            average, begin = state["average"], state["step"]
        else:
            self.start_price()
        loader = DataLoader(Subset(self.streams, range(begin, settings["steps"])), batch_size=None, num_workers=settings["workers"], prefetch_factor=2 if settings["workers"] else None)
        logged, started = [], time.time()
        with open(run / "train.csv", "a", newline="") as file:
            log = csv.writer(file)
            if begin == 0:
                log.writerow(["step", "seconds", *LOSS_NAMES, "scale", "open_scale", "price"])
            for step, batch in enumerate(tqdm(loader, initial=begin, total=settings["steps"], desc="train", mininterval=30), start=begin):
                encoder.train(), heads.train()
                torch.manual_seed(settings["seed"] * 1_000_003 + step)
                losses = self.losses(batch.to(self.device), np.random.default_rng((settings["seed"], step, 1)))
                loss = sum(settings["weights"][name] * value for name, value in losses.items())
                factor = min(1.0, (step + 1) / settings["warmup"]) * (0.5 + 0.5 * math.cos(math.pi * step / settings["steps"]))
                for group in optimiser.param_groups:
                    group["lr"] = group["base"] * max(factor, 0.01)
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(backbone, settings["clip"])
                optimiser.step()
                decay = min(settings["average"], (step + 1) / (step + 10))
                for name, value in parts.state_dict().items():
                    if value.is_floating_point():
                        average[name].lerp_(value, 1 - decay)
                logged.append([losses[name].item() for name in LOSS_NAMES])
                if (step + 1) % settings["log_every"] == 0 or step + 1 == settings["steps"]:
                    scales = [round(self.scale[name].item(), 3) for name in ("labels", "open_set", "price")]
                    log.writerow([step + 1, round(time.time() - started), *np.round(np.mean(logged, axis=0), 4), *scales])
                    file.flush()
                    logged = []
                    state = {"parts": parts.state_dict(), "optimiser": optimiser.state_dict(), "average": average, "step": step + 1}
                    torch.save(state, checkpoint.with_suffix(".new"))
                    checkpoint.with_suffix(".new").replace(checkpoint)
                if (step + 1) % settings["probe_every"] == 0 or step + 1 == settings["steps"]:
                    current = {name: value.clone() for name, value in parts.state_dict().items()}
                    parts.load_state_dict(average)
                    parts.cpu().eval()
                    print(step + 1, probe(), flush=True)
                    parts.to(self.device).load_state_dict(current)
        parts.load_state_dict(average)
        encoder.cpu().eval().requires_grad_(False), heads.cpu().eval()


def pooled(steps: torch.Tensor, stream: torch.Tensor, first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """Means over runs of steps: [batch, steps, size] and windows -> [windows, size]."""
    sums = functional.pad(torch.cumsum(steps, dim=1), (0, 0, 1, 0))
    return (sums[stream, last] - sums[stream, first]) / (last - first)[:, None]
