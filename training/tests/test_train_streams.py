"""End-to-end training: its terms on a small batch, exact resumption, and weights that survive a model directory."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from earshot_training.corpus import CaptionTags
from earshot_training.data import Clip
from earshot_training.encoder import TAG_COUNT, AudioEncoder, published_plan, streaming_plan
from earshot_training.export import encoder_tensors, head_tensors
from earshot_training.frontend import FRONT_END
from earshot_training.heads import Heads, similarity
from earshot_training.phrases import text_banks
from earshot_training.start import start_from
from earshot_training.streaming import LOOKAHEAD
from earshot_training.train_streams import LOSS_NAMES, StreamTrainer, cross_entropy, pooled

STREAMS = {"frames": 192, "modes": [0.3, 0.2, 0.5], "short_window": 2, "onset_delay": [20, 60], "mixed": 0.3, "speed": 0.3, "pitch": 0.2,
           "again": 0.3, "room": 0.2, "response": 3.0, "band_limit": 0.4, "low_cut": 0.2, "noise": 0.3, "masked": 0.2}  # fmt: skip
SETTINGS = {"seed": 1, "steps": 3, "batch": 3, "frozen": 3, "backbone_lr": 1e-3, "lr": 1e-3, "price_lr": 1e-2, "metric_lr": 1e-4, "warmup": 1, "clip": 5.0,
            "weight_decay": 0.01, "average": 0.9, "text_batch": 8, "scale": 20.0, "rarity": 0.5, "prior": 1.0, "synonym": 0.9, "onset_weight": 0.5, "teacher_streams": 3,
            "regularisation": 0.05, "iterations": 5, "weights": dict.fromkeys(LOSS_NAMES, 1.0), "workers": 0, "bfloat16": False, "log_every": 1,
            "probe_every": 100, "simulation": STREAMS}  # fmt: skip


def sentence_embeddings(strings):
    vectors = np.stack([np.random.default_rng(sum(string.encode())).normal(size=384) for string in strings])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Cache:
    def __init__(self):
        self.clips = [np.random.default_rng(row).normal(0, 0.4, (250, FRONT_END["mel_count"])).astype(np.float16) for row in range(4)]

    def into_memory(self):
        pass

    def frame_count(self, clip):
        return 250

    def clip(self, clip):
        return self.clips[clip]


def random_encoder(published=False):
    torch.manual_seed(3)
    encoder = AudioEncoder(published_plan() if published else streaming_plan(LOOKAHEAD, 240), published)
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
            module.running_mean.normal_()
            module.weight.data.uniform_(0.3, 1.5)
    encoder.tags.weight.data *= 0.01  # else the cross entropies of random weights overflow
    return encoder.eval().requires_grad_(False)


def trainer(**changes):
    clips = [Clip(Path(str(row)), "s", kind, labels, captions) for row, (kind, labels, captions) in enumerate([
        ("event", ["dog"], ["a dog"]), ("event", ["cat", "dog"], ["a cat and a dog"]), ("event", ["rain"], ["rain falls"]), ("background", [], [])])]  # fmt: skip
    captions = CaptionTags(["one", "two"], np.eye(TAG_COUNT, dtype=np.float32)[:2], np.ones(2))
    banks = text_banks(sentence_embeddings, [[f"tag {tag}"] for tag in range(TAG_COUNT)], {"dog": ["dog", "hound"], "cat": ["cat"], "rain": ["rain"]}, captions, {"dog": np.eye(TAG_COUNT, dtype=np.float32)[1]})
    torch.manual_seed(4)
    heads = Heads(hidden_size=16, joint_size=8, embedding_size=TAG_COUNT + 8)
    cpu = torch.device("cpu")
    return StreamTrainer(random_encoder(), heads, random_encoder(True), Cache(), clips, np.ones(4, bool), banks, sentence_embeddings, SETTINGS | changes, cpu)


@pytest.mark.parametrize("reduced", [False, True])
def test_every_term_is_finite_and_reaches_what_it_trains(reduced):
    subject = trainer(bfloat16=reduced)
    subject.encoder.requires_grad_(True)
    losses = subject.losses(subject.streams[0], np.random.default_rng(0))
    assert set(losses) == set(LOSS_NAMES)
    for name, value in losses.items():
        assert torch.isfinite(value), name
        subject.encoder.zero_grad()
        value.backward(retain_graph=True)
        reached = [parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in subject.encoder.last.parameters()]
        assert all(reached) == (name != "tags"), name
    assert all(parameter.grad is None for layer in subject.encoder.layers[:3] for parameter in layer.parameters())


def test_training_resumes_exactly(tmp_path):
    whole = trainer()
    whole.train(tmp_path / "whole", lambda: "")
    with pytest.raises(KeyboardInterrupt):
        interrupted = trainer(probe_every=1)
        interrupted.train(tmp_path / "parts", interrupt)
    resumed = trainer()
    resumed.train(tmp_path / "parts", lambda: "")
    for name, value in whole.encoder.state_dict().items():
        assert torch.isfinite(value).all() and torch.equal(value, resumed.encoder.state_dict()[name]), name
    for name, value in whole.heads.state_dict().items():
        assert torch.equal(value, resumed.heads.state_dict()[name]), name


def interrupt():
    raise KeyboardInterrupt


def test_cross_entropy_of_a_certain_row_is_that_of_torch():
    logits = torch.randn(5, 7)
    places = torch.tensor([0, 3, 6, 2, 2])
    expected = torch.nn.functional.cross_entropy(logits, places)
    assert cross_entropy(logits, torch.eye(7)[places], torch.ones(5)).item() == pytest.approx(expected.item(), rel=1e-6)


def test_pooled_is_the_mean_of_the_steps():
    steps = torch.randn(2, 9, 4)
    result = pooled(steps, torch.tensor([1, 0]), torch.tensor([2, 0]), torch.tensor([5, 9]))
    assert torch.allclose(result, torch.stack([steps[1, 2:5].mean(0), steps[0].mean(0)]), atol=1e-5)


def test_a_model_directory_gives_the_weights_back(tmp_path):
    subject = trainer()
    tensors = encoder_tensors(subject.encoder) | head_tensors(subject.heads)
    save_file({name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}, tmp_path / "model.safetensors")
    other, heads = random_encoder(), Heads(hidden_size=16, joint_size=8, embedding_size=TAG_COUNT + 8)
    for parameter in [*other.parameters(), *heads.parameters()]:
        if parameter.dim() != 1:
            parameter.data.normal_()
    start_from(tmp_path, other, heads)
    subject.heads.eval(), heads.eval()
    frames = torch.randn(1, 200, FRONT_END["mel_count"])
    assert torch.allclose(other(frames), subject.encoder(frames), atol=1e-4)
    text = torch.randn(3, 384)
    assert torch.allclose(similarity(*(heads.embed(heads.text_vector(text)),) * 2), similarity(*(subject.heads.embed(subject.heads.text_vector(text)),) * 2), atol=1e-4)
