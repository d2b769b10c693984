"""The held-out split: whole sources, every label still trained, the same for the same seed."""

import random
from pathlib import Path

from earshot_training.data import Clip
from earshot_training.split import held_out_sources, split_rows


def clips(count: int = 4000, sources: int = 200) -> list[Clip]:
    rng = random.Random(3)
    made = []
    for row in range(count):
        source = "huge" if row % 10 == 0 else f"source{rng.randrange(sources)}"
        made.append(Clip(Path(f"{row}.opus"), source, rng.choice(["event", "event", "event", "ambience"]), [f"label{rng.randrange(60)}"], ["a sound"]))
    return [*made, Clip(Path("rare.opus"), "source7", "event", ["only here"], ["a rare sound"])]


def test_sources_are_whole_and_every_label_is_trained():
    made = clips()
    for seed in range(20):
        held_out = held_out_sources(made, seed)
        training, evaluated = split_rows(made, seed)
        assert not held_out & {made[row].source for row in training}
        assert {made[row].source for row in evaluated} <= held_out
        trained = {label for row in training for label in made[row].labels}
        assert trained == {label for clip in made for label in clip.labels}
        events = sum(clip.kind == "event" for clip in made)
        assert 0.06 * events <= len(evaluated) <= 0.09 * events
        assert "huge" not in held_out and "source7" not in held_out


def test_depends_on_the_seed_and_not_on_the_order():
    made = clips()
    shuffled = random.Random(0).sample(made, len(made))
    assert held_out_sources(made, 1) == held_out_sources(shuffled, 1)
    assert held_out_sources(made, 1) != held_out_sources(made, 2)


def test_sources_without_events_stay():
    made = [Clip(Path("a"), "rooms", "background", [], [])] + clips()
    assert all("rooms" not in held_out_sources(made, seed) for seed in range(10))
