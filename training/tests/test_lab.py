"""The laboratory on made-up features: it learns, repeats exactly, resumes, and its figures are those of a loop."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from earshot_training.data import Clip
from earshot_training.frontend import FRONT_END, SILENT_FRAME, LogMel
from earshot_training.lab import experiment
from earshot_training.lab.augment import KINDS, Listener, background_halves, embed_augmented
from earshot_training.lab.dataset import LabData, Texts, ZeroShotSet, relevance, round_robin, without_words
from earshot_training.lab.features import FEATURE_SIZE, mix_frames, swap_groups
from earshot_training.lab.report import markdown
from earshot_training.lab.retrieval import bank_potentials, modality_gap, retrieval
from earshot_training.lab.sweep import Results, digest, merged, needed_views, sweep, table_runs
from earshot_training.streams import power_of
from earshot_training.transport import sinkhorn

from test_streams import Cache

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


def augmented(**settings) -> dict:
    return merged(CONFIGURATION["base"], SMALL | {"augmented": settings})


@pytest.fixture(scope="module")
def marked(data) -> LabData:
    """Features begin with the row of the clip and the number of the kind, 0 for what is not augmented."""
    views, kinds = data.views.copy(), {}
    views[:, :, 0], views[:, :, 1] = np.arange(len(views))[:, None], 0
    for number, kind in enumerate(("room", "noise"), start=1):
        kinds[kind] = views[:, 0].copy()
        kinds[kind][:, 1] = number
    return replace(data, views=views, augmented=kinds)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_clips_is_heard_augmented(marked, share):
    clean = experiment.Batches(marked, augmented(share=0.0, of="room"), np.random.default_rng(0)).draw()
    features, texts, _, targets = experiment.Batches(marked, augmented(share=share, of="room"), np.random.default_rng(0)).draw()
    assert (features[:, 1] == 1).sum() == round(share * 64) and set(features[:, 1].tolist()) <= {0, 1}
    assert torch.equal(features[:, 0], clean[0][:, 0])  # each its own clip's
    assert torch.equal(targets, clean[3])


def test_kinds_are_drawn_at_random(marked):
    kinds = experiment.Batches(marked, augmented(share=0.75, of=["room", "noise"]), np.random.default_rng(0)).draw()[0][:, 1]
    assert (kinds == 0).sum() == 16
    assert (kinds == 1).sum() >= 12 and (kinds == 2).sum() >= 12


def test_an_unknown_kind_is_one_clear_error():
    for of in ("echo", ["room", "echo"]):
        configuration = CONFIGURATION | {"tables": {"one": {"title": "One", "columns": [], "runs": {"x": {"augmented": {"share": 0.5, "of": of}}}}}}
        with pytest.raises(SystemExit, match=r"^lab settings: augmented\.of: there is no echo; there are stretch, .*, everything$"):
            table_runs(configuration)


def test_views_that_no_run_draws_from_are_not_needed():
    needed = lambda table: needed_views(table_runs(CONFIGURATION, [table]))
    assert needed("losses") == ([], False)
    assert needed("augmentation") == (sorted(KINDS), True)


class Frames(Cache):
    """Clip 0: noise from band 20 up, 300 frames; clip 1: very short; clip 2: background in band 5."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.clips = [np.full((count, FRONT_END["mel_count"]), SILENT_FRAME, np.float16) for count in (300, 12, 400)]
        self.clips[0][:, 20:] = rng.uniform(0, 1, (300, 108))
        self.clips[1][:, 20:] = 1.0
        self.clips[2][:, 5] = 1.0


CLIPS = [Clip(Path("a"), "s", "event", ["beep"]), Clip(Path("b"), "s", "event", ["click"]), Clip(Path("c"), "t", "background")]


def heard(kind: str, clip: int = 0, seed: int = 4) -> np.ndarray:
    return Listener(Frames(), CLIPS, kind, np.ones(3, bool), frames=350).view(clip, seed)


def test_a_stretch_is_part_of_the_clip():
    clip, stretch = Frames().clips[0].astype(np.float32), heard("stretch")
    assert any(np.allclose(clip[start : start + len(stretch)], stretch, atol=2e-3) for start in range(301 - len(stretch)))
    assert len({len(heard("stretch", seed=seed)) for seed in range(10)}) > 3


def test_every_kind_changes_the_same_stretch():
    plain = power_of(heard("stretch"))
    for kind in set(KINDS) - {"stretch"}:
        power = power_of(heard(kind))
        assert np.isfinite(power).all()
        assert kind in ("speed", "everything") or power.shape == plain.shape
        assert power.shape != plain.shape or not np.allclose(power, plain, rtol=0.05)


def test_views_are_of_the_named_kind():
    power = {kind: power_of(heard(kind)) for kind in KINDS}
    plain, of_plain = power["stretch"], lambda kind: power[kind][:, 20:] / power["stretch"][:, 20:]
    assert of_plain("gain").std() < 0.05 * of_plain("gain").mean()
    response = of_plain("microphone").mean(axis=0)
    assert (of_plain("microphone").std(axis=0) < 0.05).all() and response.min() < 1e-3 < 0.1 < response.max()
    added = power["background"] - plain
    assert added[:, 5].min() > 0 and np.abs(np.delete(added, 5, axis=1)).max() < 0.01 * added[:, 5].max()
    added = (power["noise"] - plain)[:, :20]
    assert 0 < added.mean() < 1e-4 and (added > 0).mean() > 0.5
    room = power["room"][20:, 20:]
    assert room.mean() == pytest.approx(plain[20:, 20:].mean(), rel=0.2)
    assert np.diff(room, axis=0).std() < 0.95 * np.diff(plain[20:, 20:], axis=0).std()


def test_masks_leave_the_rest_as_it_is():
    changed = ~np.isclose(heard("masks"), heard("stretch"), atol=1e-3)[:, 20:]
    frames = changed.all(axis=1)
    assert 4 <= frames.sum() < 30 and np.allclose(heard("masks")[frames], SILENT_FRAME)
    bands = changed[~frames].any(axis=0)
    assert bands.sum() < 20 and changed[~frames][:, bands].mean() > 0.9


def test_speed_changes_the_length_and_pitch_the_bands():
    views = [(heard("speed", seed=seed), heard("stretch", seed=seed)) for seed in range(10)]
    ratios = [len(view) / len(stretch) for view, stretch in views if len(stretch) < 300]
    assert min(ratios) < 0.95 and max(ratios) > 1.05
    lowest = {int(np.flatnonzero(power_of(view).mean(axis=0) > 1e-3)[0]) for view, _ in views}
    assert min(lowest) < 20 < max(lowest) and lowest <= set(range(16, 25))


def test_very_short_clips_can_be_masked():
    assert len(heard("everything", clip=1)) >= 30


def test_augmented_views_are_made_once_and_of_the_rows_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("earshot_training.lab.augment.embed", lambda _, frames: np.full(FEATURE_SIZE, frames.mean(), np.float16))
    make = lambda: embed_augmented(None, Frames(), CLIPS, np.array([0]), "gain", np.ones(3, bool), tmp_path / "lab-augmented-gain.npy", 4)
    views = make()
    assert views.shape == (3, FEATURE_SIZE) and views[0, 0] == np.float16(heard("gain").mean()) and not views[1:].any()
    monkeypatch.setattr("earshot_training.lab.augment.embed", lambda *_: pytest.fail("what is cached was made again"))
    assert np.array_equal(make(), views)


def test_backgrounds_of_training_and_of_what_is_measured_share_no_source():
    clips = [Clip(Path(f"{source}{take}"), source, kind) for source in "abcdef" for take in range(3) for kind in ("background", "event")]
    training, measured = background_halves(clips, {"c"})
    sources = lambda mask: {clips[row].source for row in np.flatnonzero(mask)}
    assert sources(training) == {"a", "d", "f"} and sources(measured) == {"b", "e"}
    assert all(clips[row].kind == "background" for row in np.flatnonzero(training | measured))


def test_esc50_heard_badly_is_measured_where_asked_for(data):
    settings = merged(CONFIGURATION["base"], SMALL | {"positives": "label"})
    assert not any(key.startswith("esc50 degraded") for key in experiment.run(data, settings, 1)[1])
    noise = 4 * np.random.default_rng(0).standard_normal(data.esc50_views.shape).astype(np.float32)
    figures = experiment.run(replace(data, degraded_views=data.esc50_views + noise), settings | {"degraded": True}, 1)[1]
    assert 5 < figures["esc50 degraded: R@1"] < figures["esc50 names: R@1"] - 10


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


def test_figures_of_some_runs_get_columns_of_their_own(tmp_path):
    results = Results(tmp_path / "runs.csv")
    results.add("one", {"steps": 1}, 1, {"gap": 0.5})
    results.add("two", {"steps": 2}, 1, {"gap": 0.6, "esc50 degraded: R@1": 40.0})
    results.add("three", {"steps": 3}, 1, {"gap": 0.7})
    assert list(Results(tmp_path / "runs.csv").rows.values()) == [{"gap": 0.5}, {"gap": 0.6, "esc50 degraded: R@1": 40.0}, {"gap": 0.7}]
    with open(tmp_path / "runs.csv", newline="", encoding="utf-8") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["one", "two", "three"]


def test_runs_logged_before_a_setting_came_keep_their_names():
    base = CONFIGURATION["base"]
    before = {key: value for key, value in base.items() if key not in ("augmented", "degraded")}
    assert digest(base) == digest(before)
    names = [digest(merged(base, changes)) for changes in ({"degraded": True}, {"augmented": {"share": 0.5}}, {"augmented": {"share": 0.5, "of": "room"}})]
    assert len({digest(base), *names}) == 4


def test_settings_file_is_sound():
    names = [digest(settings) for runs in table_runs(CONFIGURATION).values() for settings in runs.values()]
    assert len(set(names)) > 40
    with pytest.raises(SystemExit, match="objective.los"):
        merged(CONFIGURATION["base"], {"objective": {"los": "mltm"}})
    with pytest.raises(SystemExit, match="no table"):
        table_runs(CONFIGURATION, ["nothing"])
