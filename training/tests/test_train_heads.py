"""Training of the heads: what is named trains and nothing else, and sounds in words move to what they resemble."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from earshot_training.corpus import CaptionTags, read_likenesses, tag_names
from earshot_training.data import Clip
from earshot_training.encoder import EMBEDDING_SIZE, HIDDEN_SIZE, TAG_COUNT
from earshot_training.features import StepCache
from earshot_training.heads import Heads
from earshot_training.phrases import text_banks
from earshot_training.train_heads import LOSS_NAMES, HeadTrainer

SETTINGS = {"seed": 1, "steps": 3, "metric_from": 3, "keep_metric": True, "trained": ["text_tags", "text_joint", "audio_joint"], "batch": 4, "text_batch": 8,
            "lr": 1e-2, "metric_lr": 1e-4, "weight_decay": 0.01, "scale": 20.0, "rarity": 0.5, "silence": 0.0, "metric_audio_share": 0.3,
            "regularisation": 0.05, "iterations": 5, "average": 0.5, "weights": dict.fromkeys(LOSS_NAMES, 1.0)}  # fmt: skip
OVEN = np.zeros(TAG_COUNT, np.float32)
OVEN[[5, 9]] = 0.5


class Encoder:
    """Hidden layer and tags of a random encoder."""

    def __init__(self):
        generator = torch.Generator().manual_seed(1)
        self.hidden = 0.05 * torch.randn(EMBEDDING_SIZE, HIDDEN_SIZE, generator=generator)
        self.tags = 0.05 * torch.randn(HIDDEN_SIZE, TAG_COUNT, generator=generator)

    def hidden_of(self, pooled):
        return torch.tanh(pooled @ self.hidden)

    def logits_of(self, hidden):
        return hidden @ self.tags


def embed(strings):
    vectors = np.stack([np.random.default_rng(sum(string.encode())).normal(size=384) for string in strings])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def trainer(**changes):
    clips = [Clip(Path("a"), "s", "event", ["dog"], ["a dog"]), Clip(Path("b"), "s", "event", ["rain"], ["rain falls"])]
    captions = CaptionTags(["one", "two"], np.eye(TAG_COUNT, dtype=np.float32)[:2], np.ones(2))
    banks = text_banks(embed, [[f"tag {tag}"] for tag in range(TAG_COUNT)], {"dog": ["hound"], "rain": ["rain"]}, captions, {"oven": OVEN})
    torch.manual_seed(4)
    heads = Heads(hidden_size=64, joint_size=8, embedding_size=TAG_COUNT + 8, dropout=0.0)
    steps = np.random.default_rng(2).normal(size=(40, EMBEDDING_SIZE)).astype(np.float32)
    cache = StepCache(steps, np.array([0, 20, 40]), np.zeros((2, 1, EMBEDDING_SIZE), np.float32))
    return HeadTrainer(heads.eval().requires_grad_(False), Encoder(), cache, clips, np.ones(2, bool), banks, embed, SETTINGS | changes)


@pytest.mark.parametrize("trained", [["text_tags"], ["text_tags", "text_joint", "audio_joint"]])
def test_the_blocks_that_are_named_train_and_no_other(trained, tmp_path):
    subject = trainer(trained=trained)
    before = {name: value.clone() for name, value in subject.heads.state_dict().items()}
    after = subject.train(tmp_path).state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == set(trained)


def test_a_metric_trains_from_where_it_joins_on(tmp_path):
    subject = trainer(metric_from=1)
    before = subject.heads.factor.clone()
    assert not torch.equal(subject.train(tmp_path).factor, before)


def test_words_move_to_what_they_sound_like(tmp_path):
    subject = trainer(trained=["text_tags"], steps=60, metric_from=60, weights=dict.fromkeys(LOSS_NAMES, 0.0) | {"likenesses": 1.0})
    text = torch.from_numpy(embed(["oven"]))
    tags = subject.train(tmp_path).text_blocks(text)[0][0]
    assert set(tags.topk(2).indices.tolist()) == {5, 9}
    assert tags[[5, 9]].min() > 0.5


def test_the_likenesses_that_ship_name_classes_of_audioset():
    teacher = Path(os.environ.get("EARSHOT_DATA", Path(__file__).parents[3] / "shared/data")) / "teacher"
    if not teacher.exists():
        pytest.skip(f"no data: {teacher} (EARSHOT_DATA)")
    rows = read_likenesses(tag_names(teacher))
    assert len(rows) > 500
    assert all(abs(row.sum() - 1) < 1e-5 and len(row) == TAG_COUNT for row in rows.values())


@pytest.mark.parametrize("line, complaint", [("oven", "'' is not an AudioSet class"), ("oven\tBeep;Blorp", "'Blorp' is not an AudioSet class"), ("kettle\tBeep", "'kettle' is there already")])
def test_a_bad_line_of_likenesses_is_named(line, complaint, tmp_path):
    path = tmp_path / "likenesses.tsv"
    path.write_text(f"sound\ttags\nkettle\tHiss;Steam\n{line}\n")
    with pytest.raises(ValueError, match=f"likenesses.tsv:3: {complaint}"):
        read_likenesses(["Beep", "Hiss", "Steam"], path)
