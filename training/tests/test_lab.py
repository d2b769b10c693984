"""The laboratory on made-up features: it learns, repeats exactly, resumes, and its figures are those of a loop."""

import numpy as np
import pytest
import torch
import yaml

from earshot_training.frontend import LogMel
from earshot_training.lab import experiment
from earshot_training.lab.dataset import LabData, Texts, ZeroShotSet, relevance, round_robin, without_words
from earshot_training.lab.features import FEATURE_SIZE, mix_frames, swap_groups
from earshot_training.lab.report import markdown
from earshot_training.lab.retrieval import bank_potentials, modality_gap, retrieval
from earshot_training.lab.sweep import Results, digest, merged, sweep, table_runs
from earshot_training.transport import sinkhorn

CONFIGURATION = yaml.safe_load(open(__file__.replace("tests/test_lab.py", "lab.yaml"), encoding="utf-8"))


def made_up(classes: int = 20, per_class: int = 12) -> LabData:
    """Clips of some classes; features and sentence vectors are noisy codes of the class."""
    rng, count = np.random.default_rng(0), classes * per_class
    of = np.repeat(np.arange(classes), per_class)
    codes, words = rng.standard_normal((classes, FEATURE_SIZE)), rng.standard_normal((classes, 384))
    views = (codes[of][:, None] + 0.3 * rng.standard_normal((count, 2, FEATURE_SIZE))).astype(np.float32)
    texts = Texts()
    captions = [texts.add([f"class {own} a", f"class {own} b"]) for own in of]
    prompts = texts.add([f"prompt {label}" for label in range(classes)])
    vectors = np.array([words[int(string.split()[1])] for string in texts.index])
    texts.vectors = (vectors + 0.3 * rng.standard_normal(vectors.shape)).astype(np.float32)
    texts.vectors /= np.linalg.norm(texts.vectors, axis=1, keepdims=True)
    held_out = np.arange(0, count, 6)
    training = np.setdiff1d(np.arange(count), held_out)
    tags = np.eye(527, dtype=np.float32)[of]
    labels = ZeroShotSet(held_out, prompts, of[held_out][:, None] == np.arange(classes))
    pairs = swap_groups(training, [{own} for own in of], 10, rng)
    none = np.zeros(0, np.int64)
    return LabData(
        views=views, training=training, labels=[[own] for own in of], captions=captions, phrases=captions, prompts=[prompts[own : own + 1] for own in of],
        dropped=captions, tag_captions=[none] * count, tag_targets=tags, mixtures=views[pairs, 0].mean(1), mixture_rows=pairs,
        mixture_texts=np.array([captions[first][0] for first, _ in pairs]), corpus_texts={"captions": prompts, "phrases": prompts},
        corpus_targets={kind: np.eye(527, dtype=np.float32)[:classes] for kind in ("captions", "phrases")}, texts=texts,
        bank=views[training, 1], pairs=ZeroShotSet(held_out, *relevance([captions[row] for row in held_out])), held_out_labels=labels,
        esc50={"names": labels, "reworded": labels}, esc50_views=views[:, 0],
    )  # fmt: skip


@pytest.fixture(scope="module")
def data() -> LabData:
    return made_up()


SMALL = {"steps": 40, "batch": 64, "hidden": 32, "dimension": 16, "log_every": 20}


@pytest.mark.parametrize("changes", [
    {"objective": {"loss": "mltm"}}, {"objective": {"loss": "mltm", "metric": "full", "cost": "distance"}}, {"objective": {"loss": "partial", "mass": 0.8, "trimmed": True}},
    {"objective": {"loss": "triplet"}}, {"objective": {"loss": "infonce", "metric": "diagonal"}}, {"objective": {"loss": "ntxent"}, "positives": "label"},
])  # fmt: skip
def test_every_loss_learns(data, changes):
    run, figures = experiment.run(data, merged(CONFIGURATION["base"], SMALL | changes | {"positives": "label"}), 1)
    assert figures["labels: R@1"] > 60  # 5 by chance
    assert run.curve[-1]["esc50 R@1"] > run.curve[0]["esc50 R@1"] + 30
    assert 0 <= figures["gap"] <= 2


def test_tricks_run_and_a_seed_repeats_exactly(data):
    changes = {"rarity": 0.5, "crops": 0.5, "text": {"phrases": 0.2, "prompts": 0.2, "dropped": 0.2, "tags": 0.2, "noise": 0.5},
               "mix": {"share": 0.25, "swapped": True}, "tags": {"audio": 1.0, "captions": 0.5, "phrases": 0.5}}  # fmt: skip
    settings = merged(CONFIGURATION["base"], SMALL | changes)
    first, second, other = (experiment.run(data, settings, seed)[1] for seed in (1, 1, 2))
    del first["seconds"], second["seconds"], other["seconds"]
    assert first == second and first != other


def test_shuffled_captions_belong_to_other_clips(data):
    batches = experiment.Batches(data, merged(CONFIGURATION["base"], {"shuffled": 0.4}), np.random.default_rng(0))
    wrong = batches.captions_of != np.arange(len(data.captions))
    assert wrong.sum() == round(0.4 * len(data.training)) and not wrong[np.setdiff1d(np.arange(len(wrong)), data.training)].any()
    assert sorted(batches.captions_of) == list(range(len(wrong)))


def test_swap_groups_differ_in_one_half():
    labels = [{row % 30} for row in range(300)]
    pairs = swap_groups(np.arange(300), labels, 25, np.random.default_rng(0))
    for (a, b), (a2, d), (c, b2), (c2, d2) in pairs.reshape(-1, 4, 2):
        assert (a, b, c, d) == (a2, b2, c2, d2) and len({row % 30 for row in (a, b, c, d)}) == 4


def test_powers_of_mixed_frames_add():
    front_end, rng = LogMel(), np.random.default_rng(0)
    one, two = (front_end.scale(torch.from_numpy(rng.random((50, 128)).astype(np.float32))).numpy() for _ in range(2))
    power = lambda frames: front_end.power_of(torch.from_numpy(frames))
    mixed = power(mix_frames(one, two[:20], 6.0, front_end))
    added = mixed - power(one)
    assert (added >= -1e-4).all()
    assert (added.mean() / power(one).mean()).item() == pytest.approx(10**-0.6, rel=0.01)


def test_retrieval_equals_a_loop():
    rng = np.random.default_rng(1)
    scores, relevant = torch.from_numpy(rng.random((40, 30))), torch.from_numpy(rng.random((40, 30)) < 0.1)
    relevant[:, 0] |= ~relevant.any(dim=1)
    firsts, averages = [], []
    for row, right in zip(scores, relevant):
        ranks = sorted(1 + int((row > row[column]).sum()) for column in np.flatnonzero(right))
        firsts.append(ranks[0])
        averages.append(sum(place / rank for place, rank in enumerate(ranks, 1) if rank <= 10) / min(10, len(ranks)))
    figures = retrieval(scores, relevant)
    assert figures["mAP@10"] == pytest.approx(100 * np.mean(averages))
    for k in (1, 5, 10):
        assert figures[f"R@{k}"] == pytest.approx(100 * np.mean([first <= k for first in firsts]))


def test_equal_scores_earn_nothing():
    assert retrieval(torch.zeros(4, 20), torch.eye(4, 20, dtype=torch.bool))["R@1"] == 0


def test_bank_potentials_are_those_of_the_balanced_plan():
    generator = torch.Generator().manual_seed(0)
    similarity = torch.randn(60, 7, dtype=torch.float64, generator=generator)
    potentials = bank_potentials(similarity, 0.5, iterations=2000)
    plan = torch.softmax((similarity + potentials) / 0.5, dim=1) / 60
    assert torch.allclose(plan, sinkhorn(-similarity, 0.5, iterations=2000), atol=1e-8)
    relaxed = bank_potentials(similarity, 0.5, relaxation=0.5)
    assert 0 < relaxed.abs().max() < potentials.abs().max()


def test_modality_gap():
    audio, text = torch.tensor([[2.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 3.0], [0.0, 1.0]])
    assert modality_gap(audio, text) == pytest.approx(2**0.5)
    assert modality_gap(audio, 5 * audio) == pytest.approx(0)


def test_words_are_left_out_in_order():
    caption, rng = "a small dog barks at the door", np.random.default_rng(0)
    for _ in range(50):
        kept, words = without_words(caption, 0.7, rng).split(), iter(caption.split())
        assert kept and all(word in words for word in kept)


def test_round_robin_takes_one_of_each_first():
    groups = np.array([0] * 50 + [1] * 3 + [2] * 2)
    assert sorted(groups[round_robin(groups, 6, np.random.default_rng(0))]) == [0, 0, 1, 1, 2, 2]


def test_a_sweep_resumes(data, tmp_path, monkeypatch):
    configuration = {"base": merged(CONFIGURATION["base"], SMALL | {"steps": 5}), "seeds": [1, 2], "tables": {
        "one": {"title": "One", "columns": ["retrieval", "zero-shot"], "runs": {"m-LTM": {}, "InfoNCE": {"objective": {"loss": "infonce"}}}},
        "two": {"title": "Two", "columns": ["matching"], "runs": {"the same": {}}},
    }}  # fmt: skip
    sweep(data, configuration, [1, 2], tmp_path)
    lines = (tmp_path / "runs.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 2  # the third run is the first again
    monkeypatch.setattr("earshot_training.lab.sweep.run", lambda *_: pytest.fail("a finished run was run again"))
    results = sweep(data, configuration, [1, 2], tmp_path)
    assert (tmp_path / "runs.csv").read_text().splitlines() == lines
    table = markdown(results, configuration, [1, 2])
    figures = [row["audio to text: R@1"] for row in results.of(configuration["base"], [1, 2])]
    assert f"| m-LTM | {np.mean(figures):.1f} ± {np.std(figures, ddof=1):.1f} |" in table and "### Two" in table
    assert "(2 of 3 seeds)" in markdown(results, configuration, [1, 2, 3])
    assert len(list((tmp_path / "curves").iterdir())) == 4


def test_other_columns_are_refused(tmp_path):
    Results(tmp_path / "runs.csv").add("one", {"steps": 1}, 1, {"gap": 0.5})
    with pytest.raises(SystemExit, match="columns"):
        Results(tmp_path / "runs.csv").add("one", {"steps": 1}, 2, {"gap": 0.5, "new": 1.0})
    assert Results(tmp_path / "runs.csv").rows == {(digest({"steps": 1}), 1): {"gap": 0.5}}


def test_settings_file_is_sound():
    names = [digest(settings) for runs in table_runs(CONFIGURATION).values() for settings in runs.values()]
    assert len(set(names)) > 40
    with pytest.raises(SystemExit, match="objective.los"):
        merged(CONFIGURATION["base"], {"objective": {"los": "mltm"}})
    with pytest.raises(SystemExit, match="no table"):
        table_runs(CONFIGURATION, ["nothing"])
