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
        "held-out labels R@1": "labels: R@1", "R@5": "labels: R@5", "modality gap": "gap", "ESC-50 heard badly R@1": "esc50 degraded: R@1",
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
    """Mean ± standard deviation; of a single value the value alone."""
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def markdown(results: Results, configuration: dict, seeds: list[int], only: list[str] | None = None) -> str:
    """One section per table. Runs of which not all seeds have finished say so; those without any are named at the end."""
    parts = []
    for table, runs in table_runs(configuration, only).items():
        content = configuration["tables"][table]
        parts.append(f"### {content['title']}\n\n`python lab.py sweep --table {table}`, then `python lab.py tables --table {table}`\n")
        finished = {name: rows for name, settings in runs.items() if (rows := results.of(settings, seeds))}
        for kind in content["columns"]:
            columns = {title: key for title, key in COLUMNS[kind].items() if key is None or any(key in row for rows in finished.values() for row in rows)}
            if len(columns) == 1:
                continue
            lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
            for name, rows in finished.items():
                short = f" ({len(rows)} of {len(seeds)} seeds)" if len(rows) < len(seeds) else ""
                cells = [name + short if key is None else cell([row[key] for row in rows if key in row], 2 if key == "gap" else 1) for key in columns.values()]
                lines.append("| " + " | ".join(cells) + " |")
            parts.append("\n".join(lines) + "\n")
        if missing := [name for name in runs if name not in finished]:
            parts.append(f"Not run: {'; '.join(missing)}.\n")
    return "\n".join(parts)
