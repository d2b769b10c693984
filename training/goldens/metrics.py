"""Writes the golden files of the evaluation metrics: Tests/EvaluationTests/Golden/*.json.

The figures come from the packages that the field reports with: sed_eval (event-based and segment-based scores),
psds_eval (PSDS), scikit-learn (ranking and confusion) and numpy. psds_eval 0.5.3 does not run with pandas 3, nor
dcase_util (of sed_eval) with the newest setuptools, so they get an environment of their own:

    python3.11 -m venv venv-metrics
    venv-metrics/bin/pip install numpy==1.26.4 pandas==2.0.3 scikit-learn==1.5.2 "scipy<1.14" "setuptools<81" \
        psds-eval==0.5.3 sed_eval==0.2.1
    venv-metrics/bin/python training/goldens/metrics.py

Event times are multiples of a millisecond, so that many of them fall exactly onto a criterion. Undefined figures are
null. Running it again writes the same bytes.
"""

import json
import math
import pathlib
import random
import warnings

import numpy
import pandas
import sed_eval
from psds_eval import PSDSEval
from sklearn.metrics import confusion_matrix, label_ranking_average_precision_score, recall_score

warnings.filterwarnings("ignore")

OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "EvaluationTests" / "Golden"
LABELS = ["dog", "siren", "rain", "door knock", "crow"]


def plain(value):
    """JSON without NaN: undefined figures become null, numpy scalars become numbers."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, numpy.ndarray):
        return plain(value.tolist())
    if isinstance(value, (float, numpy.floating)):
        return None if math.isnan(value) else float(value)
    if isinstance(value, numpy.integer):
        return int(value)
    return value


def write(name, content):
    content = {"format": 1, **content}
    text = json.dumps(plain(content), indent=None, separators=(",", ":"), sort_keys=True)
    # One case per line keeps differences readable.
    (OUTPUT / name).write_text(text.replace('},{"name"', '},\n{"name"').replace('"cases":[', '"cases":[\n') + "\n")


def millisecond(seconds):
    return round(seconds, 3)


def event(filename, onset, offset, label):
    return [filename, millisecond(onset), millisecond(offset), label]


# Event lists


def random_truth(rng, files, labels, count, duration, overlaps):
    """Events per file; without `overlaps`, those of one label do not meet in time."""
    events = []
    for filename in files:
        taken = {label: [] for label in labels}
        for _ in range(count):
            label = rng.choice(labels)
            length = rng.choice([0.1, 0.4, 1.0, 2.0, 5.0, rng.uniform(0.05, 6)])
            onset = rng.uniform(0, duration - length)
            item = event(filename, onset, onset + length, label)
            if overlaps or all(item[2] <= a or item[1] >= b for a, b in taken[label]):
                taken[label].append((item[1], item[2]))
                events.append(item)
    return events


def random_estimate(rng, truth, files, labels, duration, jitter, insertions):
    events = []
    for filename, onset, offset, label in truth:
        fate = rng.random()
        if fate < 0.15:
            continue
        if fate < 0.25:
            label = rng.choice(labels)
        onset = max(0, onset + rng.choice([0, 0.2, -0.2, 0.5, -0.5, rng.gauss(0, jitter)]))
        offset = max(onset + 0.05, offset + rng.choice([0, 0.2, 0.5, rng.gauss(0, jitter)]))
        if fate > 0.85:
            middle = (onset + offset) / 2
            events.append(event(filename, onset, middle, label))
            events.append(event(filename, middle + 0.02, offset, label))
        else:
            events.append(event(filename, onset, offset, label))
    for filename in files:
        for _ in range(insertions):
            onset = rng.uniform(0, duration - 1)
            events.append(event(filename, onset, onset + rng.uniform(0.1, 1), rng.choice(labels)))
    rng.shuffle(events)
    return events


def event_cases():
    for seed, (file_count, label_count, count, jitter, insertions) in enumerate(
        [(1, 1, 6, 0.1, 1), (1, 3, 8, 0.2, 2), (3, 2, 6, 0.3, 1), (4, 5, 8, 0.2, 3), (6, 5, 4, 0.05, 0), (2, 1, 40, 0.2, 10)]
    ):
        rng = random.Random(seed)
        files = [f"file{index}.wav" for index in range(file_count)]
        labels = LABELS[:label_count]
        truth = random_truth(rng, files, labels, count, 20, overlaps=True)
        yield f"random {seed}", truth, random_estimate(rng, truth, files, labels, 20, jitter, insertions)
    one = [event("a.wav", 1, 2, "dog"), event("a.wav", 4, 9, "dog"), event("b.wav", 0, 1, "rain")]
    yield "perfect", one, one
    yield "nothing reported", one, []
    yield "all labels wrong", one, [[f, a, b, "siren"] for f, a, b, _ in one]
    yield "other file", one, [["c.wav", a, b, label] for _, a, b, label in one]
    yield "exactly on the collar", one, [[f, millisecond(a + 0.2), b, label] for f, a, b, label in one]
    yield "exactly on the wide collar", one, [[f, millisecond(a + 0.5), b, label] for f, a, b, label in one]
    yield "just beyond the collar", one, [[f, millisecond(a + 0.201), b, label] for f, a, b, label in one]
    yield "late offset of half the length", one, [[f, a, b + (b - a) / 2, label] for f, a, b, label in one]
    yield "offset beyond half the length", one, [
        [f, a, millisecond(b + (b - a) / 2 + 0.001), label] for f, a, b, label in one
    ]
    # Taking the first partner that fits leaves one pair unmatched here.
    yield "greedy is not optimal", [event("a.wav", 1, 2, "dog"), event("a.wav", 1.3, 2.3, "dog")], [
        event("a.wav", 1.15, 2.15, "dog"),
        event("a.wav", 0.85, 1.85, "dog"),
    ]
    yield "chain", [event("a.wav", 1 + 0.3 * i, 3 + 0.3 * i, "dog") for i in range(12)], [
        event("a.wav", 1.15 + 0.3 * i, 3.15 + 0.3 * i, "dog") for i in reversed(range(-1, 11))
    ]
    yield "doubled report", one, one + one
    yield "zero length", [event("a.wav", 1, 1, "dog"), event("a.wav", 2.5, 2.5, "dog")], [
        event("a.wav", 1, 1, "dog"),
        event("a.wav", 2.5, 2.5, "dog"),
    ]
    yield "label only reported", one, one + [event("a.wav", 3, 4, "crow")]
    yield "segment borders", [event("a.wav", 0.999, 2.001, "dog")], [event("a.wav", 1, 2, "dog")]


def sed_eval_scores(metrics, truth, estimate, labels):
    def listed(events, filename):
        return [
            {"filename": f, "event_onset": a, "event_offset": b, "event_label": label}
            for f, a, b, label in events
            if f == filename
        ]

    for filename in sorted({item[0] for item in truth + estimate}):
        metrics.evaluate(listed(truth, filename), listed(estimate, filename))
    return {
        "overall": metrics.overall_f_measure(),
        "average": metrics.results_class_wise_average_metrics()["f_measure"],
        "class_wise": {label: metrics.class_wise_f_measure(label) for label in labels},
    }


def write_event_goldens():
    cases = []
    for name, truth, estimate in event_cases():
        labels = sorted({item[3] for item in truth + estimate})
        scores = {}
        for collar in [0.2, 0.5]:
            scores[f"event {collar}"] = sed_eval_scores(
                sed_eval.sound_event.EventBasedMetrics(
                    event_label_list=labels, t_collar=collar, percentage_of_length=0.5,
                    empty_system_output_handling="zero_score", event_matching_type="optimal",
                ), truth, estimate, labels)  # fmt: skip
        for resolution in [1.0, 0.1]:
            metrics = sed_eval.sound_event.SegmentBasedMetrics(event_label_list=labels, time_resolution=resolution)
            metrics.empty_system_output_handling = "zero_score"  # Its initialiser does not take it.
            scores[f"segment {resolution}"] = sed_eval_scores(metrics, truth, estimate, labels)
        cases.append({"name": name, "truth": truth, "estimate": estimate, "scores": scores})
    write("events.json", {"cases": cases})
    print("events.json:", len(cases), "cases")


# PSDS

SCENARIOS = {
    "psds1": dict(dtc=0.7, gtc=0.7, cttc=0.3, alpha_ct=0.0, alpha_st=1.0, max_efpr=100.0),
    "psds2": dict(dtc=0.1, gtc=0.1, cttc=0.3, alpha_ct=0.5, alpha_st=1.0, max_efpr=100.0),
    "wide": dict(dtc=0.5, gtc=0.5, cttc=0.3, alpha_ct=1.0, alpha_st=0.0, max_efpr=2000.0),
}


def without_overlaps(events):
    kept = []
    for item in events:
        if all(item[0] != k[0] or item[3] != k[3] or item[2] <= k[1] or item[1] >= k[2] for k in kept):
            kept.append(item)
    return kept


def psds_cases():
    for seed, (file_count, label_count, count, jitter, insertions, point_count) in enumerate(
        [(2, 2, 4, 0.2, 1, 3), (3, 3, 5, 0.1, 2, 6), (4, 5, 6, 0.4, 3, 8), (8, 4, 4, 0.05, 1, 10)]
    ):
        rng = random.Random(100 + seed)
        files = [f"file{index}.wav" for index in range(file_count)]
        durations = {filename: float(rng.choice([20, 30, 60])) for filename in files}
        labels = LABELS[:label_count]
        truth = random_truth(rng, files, labels, count, 20, overlaps=False)
        points = []
        for index in range(point_count):
            # Lower thresholds report more and longer events.
            share = (index + 1) / point_count
            estimate = random_estimate(rng, truth, files, labels, 20, jitter, insertions + 2 * index)
            points.append(without_overlaps([item for item in estimate if rng.random() < 0.3 + 0.7 * share]))
        yield f"random {seed}", truth, durations, points
    truth = [event("a.wav", 1, 2, "dog"), event("a.wav", 4, 9, "rain"), event("b.wav", 0, 1, "rain")]
    durations = {"a.wav": 600.0, "b.wav": 600.0, "silent.wav": 2400.0}
    yield "perfect", truth, durations, [truth]
    yield "every label wrong", truth, durations, [[[f, a, b, "dog" if x == "rain" else "rain"] for f, a, b, x in truth]]
    yield "fragments that cover", truth, durations, [
        [event("a.wav", 4 + i, 5 + i, "rain") for i in range(5)],
        [event("a.wav", 4 + 2 * i, 5 + 2 * i, "rain") for i in range(3)],
    ]
    pair = [event("a.wav", 1, 3, "dog"), event("a.wav", 4, 6, "dog"), event("a.wav", 8, 9, "rain")]
    yield "one report over two events", pair, durations, [
        [event("a.wav", 1, 6, "dog")],
        [event("a.wav", 0, 9, "dog")],
    ]
    yield "beyond the end of the file", truth, durations, [
        [event("b.wav", 599, 605, "rain"), event("b.wav", 601, 605, "dog"), event("a.wav", 1, 2, "dog")]
    ]
    yield "label unknown to the truth", truth, durations, [truth + [event("a.wav", 1, 2, "crow")]]
    yield "false alarms only", truth, durations, [[event("silent.wav", 10 * i, 10 * i + 1, "dog") for i in range(20)]]
    yield "exactly on the criteria", [event("a.wav", 10, 20, "dog"), event("a.wav", 30, 40, "rain")], durations, [
        [event("a.wav", 13, 20, "dog"), event("a.wav", 33, 43, "rain")],
        [event("a.wav", 19, 29, "dog"), event("a.wav", 27, 37, "rain")],
    ]
    yield "zero length", truth + [event("a.wav", 20, 20, "dog")], durations, [truth + [event("a.wav", 30, 30, "rain")]]


def table(events):
    return pandas.DataFrame(events, columns=["filename", "onset", "offset", "event_label"])


def write_psds_goldens():
    cases = []
    for name, truth, durations, points in psds_cases():
        metadata = pandas.DataFrame(list(durations.items()), columns=["filename", "duration"])
        results = {}
        for scenario, s in SCENARIOS.items():
            evaluation = PSDSEval(
                ground_truth=table(truth), metadata=metadata,
                dtc_threshold=s["dtc"], gtc_threshold=s["gtc"], cttc_threshold=s["cttc"],
            )  # fmt: skip
            for point in points:
                evaluation.add_operating_point(table(point))
            score = evaluation.psds(alpha_ct=s["alpha_ct"], alpha_st=s["alpha_st"], max_efpr=s["max_efpr"])
            operating = evaluation.operating_points
            results[scenario] = {
                "value": score.value,
                "curve_x": score.plt.xp,
                "curve_y": score.plt.yp,
                "true_positive_ratio": list(operating.tpr),
                "false_positive_rate": list(operating.fpr),
            }
        cases.append({"name": name, "truth": truth, "durations": durations, "points": points, "results": results})
    write("psds.json", {"scenarios": SCENARIOS, "cases": cases})
    print("psds.json:", len(cases), "cases")


# Tagging and small statistics


def tagging_case(name, scores, truth):
    """`scores` [clips x labels], `truth` [clips]; ties at the true label's score count against it, as in LRAP."""
    truth = numpy.asarray(truth)
    indicator = numpy.eye(scores.shape[1], dtype=int)[truth]
    # Mean over single clips: with one relevant label, a clip's LRAP is 1 / rank.
    reciprocal = numpy.array(
        [label_ranking_average_precision_score(indicator[i : i + 1], scores[i : i + 1]) for i in range(len(truth))]
    )
    result = {f"recall_at_{k}": float(numpy.mean(reciprocal > 1 / (k + 0.5))) for k in [1, 5, 10]}
    result["map_at_10"] = float(numpy.mean(numpy.where(reciprocal > 1 / 10.5, reciprocal, 0)))
    labels = list(range(scores.shape[1]))
    if all(len(set(row)) == len(row) for row in scores):
        predicted = scores.argmax(axis=1)
        result["confusion"] = confusion_matrix(truth, predicted, labels=labels)
        per_class = recall_score(truth, predicted, labels=labels, average=None, zero_division=numpy.nan)
        result["per_class_recall"] = per_class
    return {"name": name, "scores": scores.astype(float), "truth": truth, "result": result}


def gap_case(name, audio, text):
    def centroid(rows):
        return (rows / numpy.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)

    return {"name": name, "audio": audio, "text": text, "gap": float(numpy.linalg.norm(centroid(audio) - centroid(text)))}


def write_tagging_goldens():
    rng = numpy.random.default_rng(7)

    def scores(clips, labels, digits):
        return numpy.round(rng.normal(size=(clips, labels)), digits).astype(numpy.float32)

    cases = []
    for clips, labels in [(1, 1), (7, 4), (40, 12), (60, 25)]:
        values = scores(clips, labels, 4)
        truth = rng.integers(0, labels, size=clips)
        values[numpy.arange(clips), truth] += 1
        cases.append(tagging_case(f"{clips} clips, {labels} labels", values, truth))
    cases.append(tagging_case("many ties", scores(40, 12, 0), rng.integers(0, 12, size=40)))
    cases.append(tagging_case("all equal", numpy.zeros((5, 3), dtype=numpy.float32), [0, 1, 2, 0, 1]))
    gaps = []
    for rows, other, size in [(1, 1, 2), (20, 5, 8), (3, 30, 16)]:
        shift = rng.normal(size=size)
        gaps.append(
            gap_case(f"{rows} x {other}, {size}-d", numpy.round(rng.normal(size=(rows, size)) + shift, 4),
                     numpy.round(10 * rng.normal(size=(other, size)), 4))
        )  # fmt: skip
    spreads = []
    for count in [1, 2, 3, 10, 31]:
        values = numpy.round(rng.exponential(size=count), 3)
        spreads.append({"name": f"{count} values", "values": values, "median": float(numpy.median(values)),
                        "percentile_90": float(numpy.percentile(values, 90)), "mean": float(values.mean())})  # fmt: skip
    write("tagging.json", {"cases": cases, "gaps": gaps, "spreads": spreads})
    print("tagging.json:", len(cases), "cases")


if __name__ == "__main__":
    OUTPUT.mkdir(parents=True, exist_ok=True)
    write_event_goldens()
    write_psds_goldens()
    write_tagging_goldens()
