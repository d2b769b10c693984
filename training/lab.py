#!/usr/bin/env python3
"""The laboratory: losses, metrics, regularisation, shuffled captions, text tricks and augmentation on cached embeddings.

    python lab.py sweep                  # all runs of lab.yaml that have no row in runs/lab/runs.csv yet
    python lab.py sweep --table noise --seeds 1
    python lab.py tables                 # Markdown
    python lab.py plots --output results # PNG
    python lab.py model ../models/earshot-mn04 --output results   # per-class R@1 and confusion of a model directory
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
import yaml

HERE = Path(__file__).resolve().parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["sweep", "tables", "plots", "model"])
    parser.add_argument("model", type=Path, nargs="?", help="model directory, for the command model")
    parser.add_argument("--config", type=Path, default=HERE / "lab.yaml")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EARSHOT_DATA", HERE.parent.parent / "shared/data")))
    parser.add_argument("--frames", type=Path, default=HERE / "cache", help="folder of the log-mel caches train and esc50-fold1, filled if need be")
    parser.add_argument("--cache", type=Path, default=HERE / "cache", help="folder of features and sentence embeddings")
    parser.add_argument("--run", type=Path, default=HERE / "runs/lab", help="finished runs, curves")
    parser.add_argument("--table", action="append", help="only this table; may be repeated")
    parser.add_argument("--seeds", type=int, nargs="+", help="instead of those of the settings file")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder of the plots")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    if (chosen.command == "model") != (chosen.model is not None):
        parser.error("a model directory belongs to the command model, and to no other")
    return chosen


def main() -> None:
    chosen = arguments()
    torch.set_num_threads(chosen.threads)
    configuration = yaml.safe_load(chosen.config.read_text())
    seeds = chosen.seeds or configuration["seeds"]
    if chosen.command == "sweep":
        from earshot_training.data import build_cache, read_esc50, read_manifest
        from earshot_training.lab.dataset import load
        from earshot_training.lab.sweep import needed_views, sweep, table_runs

        kinds, degraded = needed_views(table_runs(configuration, chosen.table))
        if not (chosen.data / "train/manifest.csv").exists():
            raise SystemExit(f"{chosen.data}: no train/manifest.csv there; set EARSHOT_DATA or --data to the data folder")
        build_cache([clip.path for clip in read_manifest(chosen.data / "train")], chosen.frames, "train")
        build_cache(read_esc50(chosen.data / "eval/esc50-fold1")[0], chosen.frames, "esc50-fold1")
        sweep(load(chosen.data, chosen.frames, chosen.cache, kinds, degraded), configuration, seeds, chosen.run, chosen.table)
    elif chosen.command == "tables":
        from earshot_training.lab.report import markdown
        from earshot_training.lab.sweep import Results

        print(markdown(Results(chosen.run / "runs.csv"), configuration, seeds, chosen.table))
    elif chosen.command == "plots":
        from earshot_training.lab.plots import plot_sweeps

        plot_sweeps(chosen.run, configuration, seeds, chosen.output)
    else:
        from earshot_training.lab.shipped import report_model

        print(report_model(chosen.model, chosen.data, chosen.cache, chosen.output))


if __name__ == "__main__":
    main()
