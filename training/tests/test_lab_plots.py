"""Pictures and the table of classes."""

import numpy as np
import pytest
from test_lab import CONFIGURATION, SMALL, data, made_up  # noqa: F401

from earshot_training.lab.plots import noise_series, plot_sweeps
from earshot_training.lab.shipped import class_table, confusion_of, plot_classes
from earshot_training.lab.sweep import merged, sweep


def is_picture(path) -> bool:
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and 2000 < path.stat().st_size < 100_000


def test_pictures_of_a_sweep(data, tmp_path):  # noqa: F811
    wanted = {"losses": ["InfoNCE", "m-LTM"], "noise": ["0 %, m-LTM", "20 %, m-LTM"]}
    tables = {
        table: CONFIGURATION["tables"][table] | {"runs": {name: CONFIGURATION["tables"][table]["runs"][name] for name in names}}
        for table, names in wanted.items()
    }
    configuration = {"base": merged(CONFIGURATION["base"], SMALL | {"steps": 4, "log_every": 2}), "tables": tables}
    sweep(data, configuration, [1], tmp_path / "run")
    plot_sweeps(tmp_path / "run", configuration, [1], tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"curves-losses.png", "noise.png", "modality-gap.png"}
    assert all(is_picture(path) for path in (tmp_path / "out").iterdir())


def test_no_runs_no_pictures(tmp_path):
    with pytest.raises(SystemExit, match="no finished runs"):
        plot_sweeps(tmp_path, CONFIGURATION, [1], tmp_path)


def test_partial_series_follows_the_noise():
    series = noise_series(CONFIGURATION)
    trimmed = next(points for kind, points in series.items() if kind.startswith("trimmed"))
    assert [(share, settings["objective"]["mass"]) for share, settings in trimmed] == [(0.0, 0.8), (0.2, 0.8), (0.4, 0.6), (0.6, 0.4)]


def test_classes(tmp_path):
    scores = np.array([[3, 1, 2], [1, 3, 2], [3, 2, 1], [0, 0, 1], [0, 1, 0]])
    confusion = confusion_of(scores, np.array([0, 1, 1, 2, 2]), 3)
    assert confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    table = class_table(confusion, ["cat", "dog", "rain"])
    assert "| dog | 50.0 | cat (1) |" in table and "| rain | 50.0 | dog (1) |" in table and "All: 60.00" in table
    assert table.index("| dog |") < table.index("| cat |")
    plot_classes(confusion, ["cat", "dog", "rain"], tmp_path)
    assert is_picture(tmp_path / "classes.png") and is_picture(tmp_path / "confusion.png")
