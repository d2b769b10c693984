"""Runs of a settings file, each once per seed, with one CSV row per finished run: what is there is not run again."""

from __future__ import annotations

import copy
import csv
import hashlib
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .augment import kinds_of
from .dataset import LabData
from .experiment import Run, run

OPTIONAL = "esc50 degraded: "
"""Figures of some runs only begin so; the others leave these columns empty."""


def merged(base: dict, changes: dict, path: str = "") -> dict:
    """`base` with `changes` applied, section by section. An unknown key is an error."""
    result = copy.deepcopy(base)
    for key, value in (changes or {}).items():
        if key not in result:
            raise SystemExit(f"lab settings: there is no {path}{key}")
        result[key] = merged(result[key], value, f"{path}{key}.") if isinstance(value, dict) else value
    return result


def digest(settings: dict) -> str:
    """Name of a run: the same for the same settings, whichever table asks for it. Settings that came when runs had been
    logged without them are left out where they change nothing, so that those keep their names."""
    idle = {key for key, used in (("augmented", settings.get("augmented", {}).get("share")), ("degraded", settings.get("degraded"))) if not used}
    named = {key: value for key, value in settings.items() if key not in idle}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:12]


def table_runs(configuration: dict, only: list[str] | None = None) -> dict[str, dict[str, dict]]:
    """Table -> name of the run -> its settings."""
    tables = configuration["tables"]
    unknown = set(only or []) - set(tables)
    if unknown:
        raise SystemExit(f"lab settings: there is no table {', '.join(sorted(unknown))}; there are {', '.join(tables)}")
    found = {
        table: {
            name: merged(merged(configuration["base"], content.get("base")), changes) for name, changes in content["runs"].items()
        } for table, content in tables.items() if not only or table in only
    }  # fmt: skip
    needed_views(found)
    return found


def needed_views(runs: dict[str, dict[str, dict]]) -> tuple[list[str], bool]:
    """The kinds of augmented views that some run draws from, and whether one is measured on ESC-50 heard badly."""
    every = [settings for table in runs.values() for settings in table.values()]
    return sorted({kind for settings in every for kind in kinds_of(settings)}), any(settings["degraded"] for settings in every)


class Results:
    """The CSV of finished runs."""

    def __init__(self, path: Path):
        self.path = path
        self.rows: dict[tuple[str, int], dict[str, float]] = {}
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    figures = {key: float(value) for key, value in row.items() if key not in ("run", "seed", "name", "settings") and value}
                    self.rows[row["run"], int(row["seed"])] = figures

    def header(self) -> list[str]:
        """Columns of the file, none where there is no file."""
        if not self.path.exists():
            return []
        with open(self.path, newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])

    def add(self, name: str, settings: dict, seed: int, figures: dict[str, float]) -> None:
        identity = {"run": digest(settings), "seed": seed, "name": name, "settings": json.dumps(settings, sort_keys=True)}
        row = identity | {key: round(value, 4) for key, value in figures.items()}
        header = self.header()
        always = lambda columns: {column for column in columns if not column.startswith(OPTIONAL)}
        if header and always(row) != always(header):
            raise SystemExit(f"{self.path}: its columns are not those measured now; use another --run folder")
        if header and (added := [column for column in row if column not in header]):
            header += added
            self.widen(header)
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, header or list(row))
            if not header:
                writer.writeheader()
            writer.writerow(row)
        self.rows[digest(settings), seed] = figures

    def widen(self, header: list[str]) -> None:
        """Gives the file more columns, empty in the rows so far."""
        with open(self.path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        wider = self.path.with_suffix(".new")
        with open(wider, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, header)
            writer.writeheader()
            writer.writerows(rows)
        wider.replace(self.path)

    def of(self, settings: dict, seeds: list[int]) -> list[dict[str, float]]:
        """Figures of the finished seeds of a run."""
        return [self.rows[digest(settings), seed] for seed in seeds if (digest(settings), seed) in self.rows]


def write_curve(folder: Path, name: str, seed: int, made: Run) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name.replace('/', '-').replace(' ', '_')}-{seed}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(made.curve[0]))
        writer.writeheader()
        writer.writerows({key: round(value, 5) for key, value in point.items()} for point in made.curve)


def write_points(folder: Path, name: str, made: Run) -> None:
    """Held-out audio and text vectors of a run, for the picture of the modality gap."""
    folder.mkdir(parents=True, exist_ok=True)
    audio, text = made.vectors(made.data.pairs, made.data.views[:, 0])
    first = made.data.pairs.relevant.argmax(axis=1)
    np.savez(folder / f"{name.replace('/', '-').replace(' ', '_')}.npz", audio=audio.numpy().astype(np.float16), text=text[first].numpy().astype(np.float16))


def sweep(data: LabData, configuration: dict, seeds: list[int], folder: Path, only: list[str] | None = None) -> Results:
    """Runs what is missing, all of the first seed first. Figures go to `runs.csv`, learning curves to `curves/`."""
    folder.mkdir(parents=True, exist_ok=True)
    results, missing = Results(folder / "runs.csv"), []
    for seed in seeds:
        for table, runs in table_runs(configuration, only).items():
            for name, settings in runs.items():
                if (digest(settings), seed) not in results.rows and (digest(settings), seed) not in {(digest(s), n) for _, s, n in missing}:
                    missing.append((f"{table}/{name}", settings, seed))
    for name, settings, seed in (progress := tqdm(missing, unit="run", dynamic_ncols=True)):
        def report(step: int, loss: float) -> None:
            if step % 20 == 0:
                progress.set_postfix_str(f"{name} seed {seed} step {step} loss {loss:.3f}")

        made, figures = run(data, settings, seed, report)
        write_curve(folder / "curves", name, seed, made)
        if seed == seeds[0]:
            write_points(folder / "points", name, made)
        results.add(name, settings, seed, figures)
    return results
