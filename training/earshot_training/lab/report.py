"""Tables of finished runs as Markdown: mean and standard deviation over the seeds."""

from __future__ import annotations

import statistics

from .sweep import Results, table_runs

RETRIEVAL = ("R@1", "R@5", "R@10", "mAP@10")
COLUMNS = {
    "retrieval": {
        "run": None,
        **{f"A→T {figure}": f"audio to text: {figure}" for figure in RETRIEVAL},
        **{f"T→A {figure}": f"text to audio: {figure}" for figure in RETRIEVAL},
    },
    "zero-shot": {
        "run": None,
        **{f"ESC-50 {figure}": f"esc50 names: {figure}" for figure in RETRIEVAL},
        "reworded R@1": "esc50 reworded: R@1", "balanced R@1": "esc50 names, balanced: R@1",
        "held-out labels R@1": "labels: R@1", "R@5": "labels: R@5", "modality gap": "gap",
    },
    "matching": {
        "run": None,
        **{f"{title}: {mode}": f"{key}{suffix}: R@1" for title, key in (("ESC-50", "esc50 names"), ("reworded", "esc50 reworded"), ("held-out labels", "labels"))
           for mode, suffix in (("argmax", ""), ("bank", ", bank"), ("relaxed bank", ", relaxed bank"), ("balanced", ", balanced"))},
    },
    "balanced": {
        "run": None,
        **{f"{title} {figure}, {mode}": f"{key}{suffix}: {figure}" for title, key in (("A→T", "audio to text"), ("T→A", "text to audio"))
           for figure in ("R@1", "R@10") for mode, suffix in (("argmax", ""), ("balanced", ", balanced"))},
    },
    "noise": {
        "run": None, "A→T R@1": "audio to text: R@1", "A→T R@10": "audio to text: R@10", "T→A R@1": "text to audio: R@1", "T→A R@10": "text to audio: R@10",
        "ESC-50 R@1": "esc50 names: R@1", "balanced R@1": "esc50 names, balanced: R@1", "reworded R@1": "esc50 reworded: R@1", "held-out labels R@1": "labels: R@1", "modality gap": "gap",
    },
}  # fmt: skip


def cell(values: list[float], digits: int = 1) -> str:
    """Mean ± standard deviation."""
    if not values:
        return ""
    spread = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f}"


def markdown(results: Results, configuration: dict, seeds: list[int], only: list[str] | None = None) -> str:
    parts = []
    for table, runs in table_runs(configuration, only).items():
        content = configuration["tables"][table]
        parts.append(f"### {content['title']}\n\n`python lab.py sweep --table {table}`, then `python lab.py tables --table {table}`\n")
        for kind in content["columns"]:
            columns = COLUMNS[kind]
            lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
            for name, settings in runs.items():
                rows = results.of(settings, seeds)
                short = f" ({len(rows)} of {len(seeds)} seeds)" if len(rows) < len(seeds) else ""
                lines.append("| " + " | ".join(f"{name}{short}" if key is None else cell([row[key] for row in rows if key in row], 2 if key == "gap" else 1) for key in columns.values()) + " |")
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
