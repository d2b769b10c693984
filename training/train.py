#!/usr/bin/env python3
"""Trains the model from the data folder and writes the model directory: see README.md beside this file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import yaml

from earshot_training.pipeline import Run

HERE = Path(__file__).resolve().parent


def override(settings: dict, assignment: str) -> None:
    """Applies "section.key=value" (value as YAML)."""
    path, _, value = assignment.partition("=")
    *sections, key = path.split(".")
    for section in sections:
        settings = settings[int(section)] if isinstance(settings, list) else settings.get(section)
        if settings is None:
            raise SystemExit(f"--set {assignment}: there is no section {section} in config.yaml")
    if key not in settings:
        raise SystemExit(f"--set {assignment}: there is no such setting in config.yaml")
    settings[key] = yaml.safe_load(value)
    if type(settings[key]) is str:
        try:
            settings[key] = float(settings[key])  # YAML reads 1e-4 as a string
        except ValueError:
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=HERE / "config.yaml")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EARSHOT_DATA", HERE.parent.parent / "shared/data")))
    parser.add_argument("--cache", type=Path, default=HERE / "cache", help="decoded log-mels and sentence embeddings (about 2.5 GB)")
    parser.add_argument("--run", type=Path, default=HERE / "runs/default", help="checkpoints and logs; a run resumes from them")
    parser.add_argument("--output", type=Path, default=HERE.parent / "models/earshot-mn04")
    parser.add_argument("--start", type=Path, help="model directory to go on from, in place of the stages before the streams")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="changes a setting of the configuration")
    arguments = parser.parse_args()
    if not (arguments.data / "train/manifest.csv").exists():
        raise SystemExit(f"{arguments.data}: no train/manifest.csv there; set EARSHOT_DATA or --data to the data folder")
    settings = yaml.safe_load(arguments.config.read_text())
    for assignment in arguments.set:
        override(settings, assignment)

    run = Run(arguments.data, arguments.cache, arguments.run, settings)
    if arguments.start is None:
        encoder = run.distilled()
        encoder = run.finetuned(encoder, run.heads_on(encoder, "distilled"))
        heads = run.heads_on(encoder, "finetuned")
        unheard = "no stage heard"
    else:
        encoder, heads = run.from_directory(arguments.start)
        unheard = "the stages from the streams on did not hear (those before them may have)"
    encoder, heads = run.tuned_on_streams(encoder, heads)
    heads = run.tuned_on_words(encoder, run.tuned_on_clips(encoder, heads))
    second = run.second_pass(heads)
    run.write(encoder, heads, second, arguments.output)
    run.report(encoder, heads, second[0], arguments.output, unheard, "training/train.sh")


if __name__ == "__main__":
    main()
