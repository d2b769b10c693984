"""The streaming encoder: chunked equals batch, the exported files equal the module, and with the published
kernels and a symmetric lookahead it is the published network at a denser step."""

import copy

import numpy as np
import pytest
import torch

from earshot_training.encoder import AudioEncoder, lookahead_frames, published_plan, step_frames, streaming_plan
from earshot_training.export import configuration, encoder_tensors, export, head_tensors, second_pass_tensors
from earshot_training.heads import Heads, similarity
from earshot_training.reference import SECOND_PASS, ReferenceModel
from earshot_training.streaming import LOOKAHEAD, SYMMETRIC_LOOKAHEAD, fold_future

SETTINGS = {"window": {"steps": 6}, "transport": {"clip_regularization": 0.05}, "detection": {}, "center_frames": 3.0, "retrieval": None, "second_share": 0.25}


def random_encoder(plan, published: bool = False) -> AudioEncoder:
    torch.manual_seed(3)
    encoder = AudioEncoder(plan, published).eval()
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.2, 0.6)
    return encoder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    encoder, heads = random_encoder(streaming_plan(LOOKAHEAD, 240)), Heads(joint_size=16, embedding_size=32).eval()
    stub = lambda prompts: np.random.default_rng(0).standard_normal((len(prompts), 384)).astype(np.float32)
    bank = {"reference": np.zeros((2, 32), np.float32), "background": np.zeros((3, 32), np.float32)}
    second = random_encoder(streaming_plan(SYMMETRIC_LOOKAHEAD, 480)), copy.deepcopy(heads)
    second[1].tag_mean.fill_(0.5)
    export(folder, encoder, heads, second, bank, {}, SETTINGS, stub)
    return folder, encoder, heads, second


def test_plan():
    plan = streaming_plan(LOOKAHEAD, 240)
    assert step_frames(plan) == 16 and step_frames(published_plan()) == 32
    assert lookahead_frames(plan) <= 50
    assert [layer.time_dilation for layer in plan[13:]] == [1, 2, 2]


@pytest.mark.parametrize("chunk", [1, 7, 16, 50, 400])
def test_streaming_equals_batch(exported, chunk):
    folder, encoder, _, _ = exported
    model = ReferenceModel(folder)
    frames = torch.randn(400, 128)
    model.encoder.reset()
    batch = model.encoder.push(frames)
    assert batch.shape == ((400 - 1 - lookahead_frames(encoder.plan)) // 16 + 1, 384)
    model.encoder.reset()
    chunks = torch.cat([model.encoder.push(frames[start : start + chunk]) for start in range(0, 400, chunk)])
    assert torch.allclose(chunks, batch, atol=1e-5)


def test_export_equals_module(exported):
    folder, encoder, heads, second = exported
    model = ReferenceModel(folder)
    model.tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in (encoder_tensors(encoder) | head_tensors(heads) | second_pass_tensors(*second)).items()}
    for layer in model.encoder.layers:
        layer.tensors = {name: model.tensors[f"{layer.layer['name']}.{name}"] for name in layer.tensors}
    frames = torch.randn(1, 300, 128)
    with torch.no_grad():
        steps = encoder(frames)[0]
        model.encoder.reset()
        assert torch.allclose(model.encoder.push(frames[0]), steps, atol=1e-4)
        pooled = steps.mean(0)
        hidden = encoder.hidden_of(pooled)
        assert torch.allclose(model.tag_logits(pooled), encoder.logits_of(hidden), atol=1e-4)
        assert torch.allclose(model.embed_audio(pooled), heads.embed(heads.audio_vector(pooled, hidden, encoder.logits_of(hidden))), atol=1e-4)
        text = torch.randn(5, 384)
        assert torch.allclose(model.embed_text(text), heads.embed(heads.text_vector(text)), atol=1e-4)


@torch.no_grad()
def test_clips_are_embedded_by_both_passes(exported):
    folder, encoder, heads, (second, its_heads) = exported
    model, rng = ReferenceModel(folder), np.random.default_rng(1)
    clip = (0.1 * rng.standard_normal(20 * 5120)).astype(np.float32)  # whole steps, so that turns of it are alike
    assert model.configuration["second_pass"]["encoder"]["lookahead_frames"] == lookahead_frames(second.plan) == 297

    def embedded(encoder, heads, steps):
        pooled = steps.mean(0)
        hidden = encoder.hidden_of(pooled)
        return heads.embed(heads.audio_vector(pooled, hidden, encoder.logits_of(hidden)))

    third_turn = encoder(model.frontend(torch.from_numpy(np.tile(clip, 8)))[None])[0][40:60]
    first = embedded(encoder, heads, third_turn)
    other = embedded(second, its_heads, model.second.padded_steps(clip))
    assert torch.allclose(model.embed_clip(clip), 0.75 * first + 0.25 * other, atol=5e-3)  # float16 weights
    assert not torch.allclose(first, other, atol=5e-2)


@torch.no_grad()
def test_padded_steps_are_those_of_the_published_network(exported):
    """All of them, the first and the last too. Constant scales: running and whole-clip means agree."""
    folder, _, _, (second, _) = exported
    model, tensors = ReferenceModel(folder), encoder_tensors(second)
    published = AudioEncoder(published_plan(), published=True).eval()
    published.load_state_dict(second.state_dict())
    for layer, module in zip(model.second.layers, published.layers):
        name = layer.layer["name"].removeprefix(SECOND_PASS)
        layer.tensors = {part: torch.from_numpy(np.ascontiguousarray(tensors[f"{name}.{part}"])) for part in layer.tensors}
        if module.plan.squeeze_channels is not None:
            torch.nn.init.zeros_(module.squeeze.fc2.weight)
            layer.tensors["squeeze.fc2.weight"] = torch.zeros_like(layer.tensors["squeeze.fc2.weight"])
    last = model.second.layers[-1]
    last.tensors = {part: torch.from_numpy(np.ascontiguousarray(tensors[f"features.16.{part}"])) for part in last.tensors}
    clip = (0.1 * np.random.default_rng(2).standard_normal(800 + (40 * 16 - 1) * 320)).astype(np.float32)
    steps, expected = model.second.padded_steps(clip), published(model.frontend(torch.from_numpy(clip))[None])[0]
    assert len(steps) == 40 and len(expected) == 20
    assert torch.allclose(steps[::2], expected, atol=1e-4)
    # The running means of a clip that was heard before do not begin with the first step alone.
    fresh = ReferenceModel(folder).second
    primed = fresh.padded_steps(clip)
    fresh.reset()
    assert not torch.allclose(primed[0], fresh._between_zeros(model.second._whole_steps(clip))[0], rtol=0, atol=1e-5)


def test_symmetric_form_is_the_published_network():
    plan = streaming_plan(SYMMETRIC_LOOKAHEAD, 10**6)
    streaming, published = random_encoder(plan), random_encoder(published_plan(), published=True)
    for encoder in (streaming, published):
        for layer in encoder.layers[1:]:
            if layer.plan.squeeze_channels is not None:
                torch.nn.init.zeros_(layer.squeeze.fc2.weight)  # constant scales: running and whole-clip means agree
    frames = torch.randn(1, 960, 128)
    with torch.no_grad():
        dense, sparse = streaming(frames), published(frames)
    count = dense.shape[1] // 2
    assert count > 15
    assert torch.allclose(dense[:, : 2 * count : 2], sparse[:, :count], atol=1e-4)


def test_holding_keeps_the_sum_of_a_kernel():
    plan = streaming_plan(LOOKAHEAD, 240)[15]
    weight = torch.randn(4, 1, 5, 5)
    held = fold_future(weight, plan, "hold")
    assert torch.allclose(held.sum(-1), weight.sum(-1), atol=1e-5)
    assert torch.equal(held[..., 2:4], weight[..., 0:2]) and not held[..., :2].any()
    assert torch.equal(fold_future(weight, plan, "shift"), weight)


def test_golden_is_read_back(exported):
    from safetensors.numpy import load_file

    folder, encoder, _, _ = exported
    golden = load_file(folder / "golden.safetensors")
    model = ReferenceModel(folder)
    assert np.abs(model.frontend(torch.from_numpy(golden["samples"])).numpy() - golden["logmel"]).max() < 1e-4
    model.encoder.reset()
    assert np.abs(model.encoder.push(torch.from_numpy(golden["logmel"])).numpy() - golden["steps"]).max() < 1e-3
    assert set(configuration(encoder, Heads(), None, SETTINGS)) >= {"front_end", "encoder", "projection", "window", "transport", "detection", "prompts", "text"}


def test_similarity_is_half_the_squared_distance():
    audio, text = torch.randn(3, 8), torch.randn(4, 8)
    assert torch.allclose(similarity(audio, text), -torch.cdist(audio, text).square() / 2, atol=1e-5)
