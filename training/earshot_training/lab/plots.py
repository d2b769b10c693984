"""Pictures of a sweep: learning curves, shuffled captions, modality gap. PNG files of a few ten kilobytes."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from .sweep import Results, digest, table_runs


def save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)
    with Image.open(path) as picture:  # a palette of 64 colours: a third of the size
        palette = picture.convert("RGB").quantize(64)
    palette.save(path, optimize=True)


def file_name(name: str) -> str:
    return name.replace("/", "-").replace(" ", "_")


def found(folder: Path, configuration: dict, settings: dict, suffix: str) -> Path | None:
    """The file of a run, which bears the name of the first table that asked for it."""
    for table, runs in table_runs(configuration).items():
        for name, other in runs.items():
            path = folder / f"{file_name(f'{table}/{name}')}{suffix}"
            if digest(other) == digest(settings) and path.exists():
                return path
    return None


def plot_curves(folder: Path, configuration: dict, seeds: list[int], table: str, output: Path) -> None:
    """Loss, R@1 of the held-out pairs, R@1 of ESC-50 fold 1 and modality gap over the steps, mean of the seeds."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 7))
    panels = {"loss": "loss over its first value", "pairs R@1": "held-out pairs, audio to text R@1 (%)", "esc50 R@1": "ESC-50 fold 1 R@1 (%)", "gap": "modality gap"}
    for name, settings in table_runs(configuration, [table])[table].items():
        curves = []
        for seed in seeds:
            if path := found(folder / "curves", configuration, settings, f"-{seed}.csv"):
                with open(path, newline="", encoding="utf-8") as file:
                    curves.append([{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)])
        for axis, (key, title) in zip(axes.ravel(), panels.items()) if curves else ():
            steps = [point["step"] for point in curves[0]]
            divisor = curves[0][0]["loss"] if key == "loss" else 1
            axis.plot(steps, [statistics.mean(point[key] for point in points) / divisor for points in zip(*curves)], marker="o", markersize=3, label=name)
            axis.set_title(title, fontsize=10)
            axis.set_xlabel("step")
    axes[0, 1].legend(fontsize=8)
    save(figure, output)


def noise_series(configuration: dict) -> dict[str, list[tuple[float, dict]]]:
    """Series name -> (share shuffled, settings), from runs named "<share> %, <series>" of the table `noise`. Runs of
    the partial transport whose mass is what is left of right captions form one series."""
    series: dict[str, list[tuple[float, dict]]] = {}
    for name, settings in table_runs(configuration, ["noise"])["noise"].items():
        kind, share = name.split(", ")[1], settings["shuffled"]
        if settings["objective"]["loss"] == "partial":
            if share > 0 and abs(settings["objective"]["mass"] - (1 - share)) > 1e-6:
                continue
            kind = f"{kind.split()[0]}, s = share of right captions"
        series.setdefault(kind, []).append((share, settings))
    return series


def plot_noise(results: Results, configuration: dict, seeds: list[int], output: Path) -> None:
    """R@1 over the share of shuffled captions."""
    panels = {"audio to text: R@10": "held-out pairs, audio to text R@10 (%)", "labels: R@1": "held-out labels R@1 (%)", "esc50 names: R@1": "ESC-50 fold 1 R@1 (%)"}
    figure, axes = plt.subplots(1, 3, figsize=(13, 4))
    for axis, (key, title) in zip(axes, panels.items()):
        for kind, points in noise_series(configuration).items():
            rows = [(share, [row[key] for row in results.of(settings, seeds)]) for share, settings in points]
            rows = [(share, values) for share, values in rows if values]
            if rows:
                spread = [statistics.stdev(values) if len(values) > 1 else 0 for _, values in rows]
                axis.errorbar([100 * share for share, _ in rows], [statistics.mean(values) for _, values in rows], spread, marker="o", markersize=3, capsize=2, label=kind)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("shuffled captions (%)")
    axes[0].legend(fontsize=8)
    save(figure, output)


def plot_gap(folder: Path, results: Results, configuration: dict, seeds: list[int], output: Path) -> None:
    """Held-out audio and text vectors on their first two principal axes, one panel per loss."""
    runs = table_runs(configuration, ["losses"])["losses"]
    paths = {name: path for name, settings in runs.items() if (path := found(folder / "points", configuration, settings, ".npz"))}
    if not paths:
        return
    figure, axes = plt.subplots(1, len(paths), figsize=(3.4 * len(paths), 3.6), squeeze=False)
    for axis, (name, path) in zip(axes[0], paths.items()):
        stored = np.load(path)
        audio, text = (value / np.linalg.norm(value, axis=1, keepdims=True) for value in (stored["audio"].astype(np.float64), stored["text"].astype(np.float64)))
        both = np.concatenate([audio, text])
        axes_of = np.linalg.svd(both - both.mean(axis=0), full_matrices=False)[2][:2]
        for rows, colour, kind in ((audio, "tab:blue", "audio"), (text, "tab:orange", "text")):
            axis.scatter(*((rows - both.mean(axis=0)) @ axes_of.T).T, s=4, alpha=0.6, color=colour, label=kind)
        gaps = [row["gap"] for row in results.of(runs[name], seeds)]
        axis.set_title(f"{name}: gap {statistics.mean(gaps):.2f}" if gaps else name, fontsize=10)
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0, 0].legend(fontsize=8)
    save(figure, output)


def plot_sweeps(folder: Path, configuration: dict, seeds: list[int], output: Path) -> None:
    """All pictures for which there are finished runs in `folder`."""
    results = Results(folder / "runs.csv")
    if not results.rows:
        raise SystemExit(f"{folder}/runs.csv: no finished runs there; start with the command sweep")
    for table in ("losses", "epsilon", "metrics"):
        if table in configuration["tables"]:
            plot_curves(folder, configuration, seeds, table, output / f"curves-{table}.png")
    if "noise" in configuration["tables"]:
        plot_noise(results, configuration, seeds, output / "noise.png")
    if "losses" in configuration["tables"]:
        plot_gap(folder, results, configuration, seeds, output / "modality-gap.png")
