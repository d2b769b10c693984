"""What texts recall: equal to loops over clips and labels, and the same from an exported model."""

import numpy as np
import pytest
import torch

from earshot_training.data import Clip
from earshot_training.encoder import EMBEDDING_SIZE, streaming_plan
from earshot_training.export import export
from earshot_training.features import StepCache
from earshot_training.heads import Heads
from earshot_training.reference import ReferenceModel
from earshot_training.retrieval import build_retrieval, recalled
from earshot_training.streaming import LOOKAHEAD
from earshot_training.text import template

from test_encoder import SETTINGS, random_encoder

LABELS = [["dog"], ["dog", "siren"], ["siren"], ["rain"], []]


def text(sentences):
    vectors = np.stack([np.random.default_rng(sum(sentence.encode())).normal(size=384) for sentence in sentences])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def built():
    encoder, heads = random_encoder(streaming_plan(LOOKAHEAD, 240)), Heads(joint_size=16, embedding_size=543).eval()
    counts = [3, 1, 4, 2, 2]
    steps = torch.randn(sum(counts), EMBEDDING_SIZE, generator=torch.Generator().manual_seed(1)).numpy()
    cache = StepCache(steps, np.concatenate([[0], np.cumsum(counts)]), np.zeros((len(counts), 1, EMBEDDING_SIZE), np.float32))
    clips = [Clip(path=None, seconds=1.0, source="a", licence="", kind="event", labels=labels, captions=[]) for labels in LABELS]
    usable = np.array([True, True, True, False, True])
    return encoder, heads, steps, counts, build_retrieval(encoder, heads, cache, clips, usable, {"dog": ["a dog barks", "barking"]}, text)


@torch.no_grad()
def test_keys_and_values(built):
    encoder, heads, steps, counts, retrieval = built
    assert retrieval["keys"].shape == (2, 16) and retrieval["values"].shape == (2, 543)  # dog, siren: rain is held out
    unit = lambda vector: vector / np.linalg.norm(vector)
    starts = np.cumsum([0, *counts])

    def embedding(clip):
        pooled = torch.from_numpy(steps[starts[clip] : starts[clip] + counts[clip]].mean(0))
        hidden = encoder.hidden_of(pooled)
        return heads.embed(heads.audio_vector(pooled, hidden, encoder.logits_of(hidden))).numpy()

    assert np.allclose(retrieval["values"][0], unit(embedding(0) + embedding(1) / 4), atol=1e-5)
    assert np.allclose(retrieval["values"][1], unit(embedding(1) / 4 + embedding(2)), atol=1e-5)
    joint = lambda sentence: unit(heads.text_joint(torch.from_numpy(text([sentence])))[0].numpy())
    assert np.allclose(retrieval["keys"][0], unit(joint(template("dog")) + unit(joint("a dog barks") + joint("barking"))), atol=1e-5)
    assert np.allclose(retrieval["keys"][1], unit(joint(template("siren")) + joint("siren")), atol=1e-5)


@torch.no_grad()
def test_exported_texts_recall(built, tmp_path):
    encoder, heads, _, _, retrieval = built
    bank = {"reference": np.zeros((2, 543), np.float32), "background": np.zeros((3, 543), np.float32)}
    export(tmp_path, encoder, heads, None, bank, retrieval, SETTINGS | {"retrieval": {"temperature": 0.1, "weight": 0.5}}, text)
    sentences = torch.from_numpy(text(["a bell", "a dog"]))
    model = ReferenceModel(tmp_path)
    plain = heads.embed(heads.text_vector(sentences)).numpy()
    for row, actual in enumerate(model.embed_text(sentences).numpy()):
        joint = heads.text_joint(sentences[row]).numpy()
        weights = np.exp(retrieval["keys"] @ (joint / np.linalg.norm(joint)) / 0.1)
        mean = (weights / weights.sum()) @ retrieval["values"]
        assert np.allclose(actual, plain[row] + 0.5 * mean / np.linalg.norm(mean), atol=5e-3)  # float16 weights
    assert torch.allclose(recalled(torch.eye(16)[:3], *map(torch.from_numpy, retrieval.values()), 0.1, 0.5).norm(dim=1), torch.tensor(0.5))
