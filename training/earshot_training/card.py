"""Writes MODEL_CARD.md from the manifest, the configuration of the exported model and the measured figures."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from safetensors.numpy import load_file

from .data import Clip
from .encoder import AudioEncoder, lookahead_frames
from .frontend import FRONT_END
from .heads import Heads

CARD = """# earshot-mn04

Maps one second or more of sound, and a sentence that describes a sound, into one space, so that a sound can be looked
for by words that nobody trained for. Audio goes in as a stream: a new embedding every 160 ms.

| | |
|---|---|
| parameters | {parameters} (two audio encoders of {encoder_parameters}, projections and metric {head_parameters}) |
| file | {megabytes:.1f} MB, float16 |
| multiply-adds | {encoder_macs:.1f} M per second of audio for the stream's encoder, {window_macs:.2f} M per window for projection and metric; whole clips: {second_macs:.1f} M more (each encoder hears a clip twice, the first time for its running windows) |
| lookahead | {lookahead} ms (how much later than a sound its step can be computed); whole clips: {second_lookahead} ms |
| input | mono, 32 kHz; 128 log-mel bands to 15 kHz, 10 ms |
| text | all-MiniLM-L6-v2 sentence embeddings (384-d), not part of this model |

## Training

    {command}

Start: EfficientAT `mn04_as` (MobileNetV3, AudioSet mAP .432, arXiv 2211.04772), MIT licence, copyright (c) 2022 Florian
Schmid. Its time kernels were made causal (all but the early ones), its squeeze-and-excite runs over a window of past
columns, and its layers from `features.{frozen}` up were trained along with the heads on simulated streams: training clips
between silence, again and again, or in the middle of a background recording, mixed, in rooms, through narrow bands. The
terms: the original network's answer to each window, text to tags, label and caption contrast, tag distillation, the m-LTM
transport loss (arXiv 2405.10084) under a full Mahalanobis metric M = L^T L, and cross entropy over all labels and
"nothing". After that the heads went on with whole clips, and the way from text to tags alone with a list, written for this
project, of which AudioSet classes some 600 everyday sounds resemble. A text's embedding is drawn towards the mean embeddings of
training sounds with similar labels, which the file holds ({sounds} labels).

Whole clips are embedded by a second encoder as well, and the mean of both embeddings is taken: the published network with
its own weights and symmetric time kernels, streaming too, but with more lookahead than an event can wait for. It goes
through the same heads (the spread of its tags is its own). Streams are heard by the first encoder alone.

Audio, {hours:.1f} h in {files} files from {sources} public collections. No sound of it is part of the model or of this
repository.

| kind | files | hours |
|---|---|---|
{kinds}

Licences as their collections state them, hours of audio:

| licence | files | hours |
|---|---|---|
{licences}

Several sources allow only non-commercial or research use, and many state no licence. Text: AudioCaps, WavCaps (AudioSet
part), VGGSound and VGGSounder labels, MusicCaps and machine captions with AudioSet tags, the AudioSet ontology, and
phrases written for the training labels and tags.

## Measured

ESC-50 fold 1 (400 clips of 5 s, 16 kHz copies, 50 labels); no clip of ESC-50 was trained on. The prompt is "This is a
sound of {{label}}." for each class name; *reworded*: each class in other words ("a puppy yapping" for dog), in the same
prompt. Each clip is run through the streaming form of this float16 model and its steps are averaged. *once*: by the stream's
encoder, from a fresh state; *in context*: by the same, as one turn of a recording that repeats the clip, so that the running
windows are full as they are in a stream; *both*: so, and by the second encoder between zeros, as its network was trained, after
hearing the clip once for the running windows; so `earshot classify` and `earshot evaluate tagging` do. *argmax*: each clip alone; *balanced*: the transductive
protocol of the m-LTM paper, entropic transport ({regularisation}) over all 400 clips x 50 labels with uniform marginals.
Fold 1 was looked at during development: recipes and
a few of their settings (shares of averaged weights and of the second encoder, what texts recall) were chosen with its figures in view. *held-out sources*: {held_out[clips]} clips of
training collections that {unheard}, heard once, against all
{held_out[labels]} labels that occur among them, one prompt each; a hit is any label of the clip.

| | R@1 | R@5 | R@10 | mAP@10 |
|---|---|---|---|---|
{results}
| held-out sources, once, argmax | {held_out[R@1]:.1f} | {held_out[R@5]:.1f} | | |

## Limits

- Wrong most often, both encoders, argmax: {worst}.
- Labels of the training data come from file names; nobody listened. Several sounds at once, far sounds and sounds below
  the noise are found less well than the clips above.
- Trained on clean recordings for the most part: a cheap microphone or a reverberant room costs accuracy.
- English prompts. Sentences with several sounds, negations or relations ("a dog but no cat") are not understood.
- Scores are not probabilities. A label's median and spread over background sounds, taken from the bank, make one
  threshold usable for all labels, yet not equally good for each.

Intended: research, home automation, logging and searching of sounds. Not intended: alarms on which safety depends
(fire, break-in, medical), surveillance of people, recognition of speech or speakers.
"""


def table(clips: list[Clip], key, most: int | None = None) -> str:
    groups: dict[str, list[float]] = defaultdict(list)
    for clip in clips:
        groups[key(clip)].append(clip.seconds)
    rows = sorted(groups.items(), key=lambda item: -sum(item[1]))
    if most is not None and len(rows) > most:
        rest = [seconds for _, group in rows[most:] for seconds in group]
        rows = rows[:most] + [(f"{len(groups) - most} other statements", rest)]
    return "\n".join(f"| {name} | {len(group)} | {sum(group) / 3600:.2f} |" for name, group in rows)


def encoder_macs(encoder: AudioEncoder) -> float:
    """Multiply-adds per second of audio of the streaming form."""
    rate = FRONT_END["sample_rate"] / FRONT_END["hop_length"]
    bands, total = FRONT_END["mel_count"], 0.0
    for plan in encoder.plan:
        columns_in = rate
        rate /= plan.time_stride
        wide, out_bands = plan.expanded_channels, -(-bands // plan.frequency_stride)
        if plan.name == "features.0":
            total += rate * out_bands * plan.kernel**2 * plan.output_channels
        else:
            if plan.expand:
                total += columns_in * bands * plan.input_channels * wide
            total += rate * out_bands * (plan.kernel**2 * wide + wide * plan.output_channels)
            if plan.squeeze_channels is not None:
                total += rate * 2 * wide * plan.squeeze_channels
        bands = out_bands
    return total + rate * bands * encoder.last.weight[..., 0, 0].numel()


def window_macs(encoder: AudioEncoder, heads: Heads) -> int:
    """Multiply-adds of one window: hidden layer, tags, joint block, metric."""
    joint = heads.audio_joint
    return sum(weight.numel() for weight in (encoder.hidden.weight, encoder.tags.weight, joint.first.weight, joint.second.weight, heads.factor))


def results_table(results: dict[str, dict]) -> str:
    return "\n".join(
        f"| {words}, {mode} | " + " | ".join(f"{figures[key]:.1f}" for key in ("R@1", "R@5", "R@10", "mAP@10")) + " |"
        for words, modes in results.items() for mode, figures in modes.items() if mode != "worst"
    )  # fmt: skip


def write_card(folder: Path, clips: list[Clip], encoder: AudioEncoder, heads: Heads, second: AudioEncoder, results: dict[str, dict], held_out: dict[str, float], frozen: int, regularisation: float, unheard: str, command: str) -> None:
    count = lambda module: sum(parameter.numel() for parameter in module.parameters())
    text = CARD.format(
        parameters=f"{(count(encoder) + count(second) + count(heads)) / 1e6:.2f} M", encoder_parameters=f"{count(encoder) / 1e6:.2f} M", head_parameters=f"{count(heads) / 1e6:.2f} M",
        megabytes=(folder / "model.safetensors").stat().st_size / 1e6, encoder_macs=encoder_macs(encoder) / 1e6, window_macs=window_macs(encoder, heads) / 1e6,
        lookahead=lookahead_frames(encoder.plan) * 10,
        second_macs=encoder_macs(second) / 1e6, second_lookahead=lookahead_frames(second.plan) * 10, command=command, frozen=frozen, held_out=held_out, unheard=unheard, regularisation=f"ε = {regularisation}",
        hours=sum(clip.seconds for clip in clips) / 3600, files=len(clips), sources=len({clip.source for clip in clips}),
        kinds=table(clips, lambda clip: clip.kind), licences=table(clips, lambda clip: clip.licence, most=25), results=results_table(results),
        sounds=load_file(folder / "model.safetensors")["retrieval.keys"].shape[0],
        worst=",\n  ".join(results["names, both"]["worst"]),
    )  # fmt: skip
    (folder / "MODEL_CARD.md").write_text(text)
