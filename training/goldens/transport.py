"""Writes Tests/OptimalTransportTests/Golden/transport.json: plans that Sinkhorn must equal, solved by POT.

    pip install POT numpy && python training/goldens/transport.py

Costs and weights are rounded to float32 first, so both sides solve the same problem. Only converged solutions are kept.
"""

import json
import pathlib
import warnings

import numpy as np
import ot
from scipy.spatial.distance import cdist

warnings.simplefilter("error", UserWarning)  # POT's way to say that it did not converge
warnings.simplefilter("ignore", RuntimeWarning)  # exp of potentials of ε 1e-3, which are not used here
OUTPUT = pathlib.Path(__file__).parents[2] / "Tests/OptimalTransportTests/Golden/transport.json"
random = np.random.default_rng(20240605)
cases = []


def f32(x):
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def uniform(count):
    return f32(np.full(count, 1 / count))


def weights(kind, count):
    if kind == "uniform":
        return uniform(count)
    w = random.dirichlet(np.full(count, 0.8)) + 1e-3
    if kind == "zeros" and count > 2:
        w[[0, count // 2]] = 0
    return f32(w / w.sum())


def costs(n, m, scale):
    """Squared distances of points of the unit square, or without geometry."""
    x, y = random.random((n, 2)), random.random((m, 2))
    cost = ot.dist(x, y)
    return f32(cost / cost.max() * scale)


def keep(kind, name, cost, a, b, plan, **rest):
    if not np.isfinite(plan).all():
        print("not finite:", kind, name)
        return
    cases.append(
        {
            "kind": kind,
            "name": name,
            "rows": cost.shape[0],
            "columns": cost.shape[1],
            "cost": numbers(cost),
            "a": numbers(a),
            "b": numbers(b),
            "plan": numbers(plan, 8),
            **rest,
        }
    )


def numbers(array, digits=None):
    """Shortest decimals that give the same float32, or with so many digits."""
    if digits:
        return [float(f"{v:.{digits}g}") if v > 1e-12 else 0 for v in np.ravel(array).tolist()]
    return [float(str(np.float32(v))) for v in np.ravel(array)]


SIZES = [(1, 1), (1, 7), (7, 1), (2, 2), (5, 3), (12, 17), (30, 20)]


def balanced():
    for n, m in SIZES:
        for reg in [1e-3, 1e-2, 0.05, 1.0]:
            for kind in ["uniform", "random", "zeros"]:
                # The largest size shows speed rather than corners; keep the file small.
                if n == 30 and kind == "random":
                    continue
                cost, a, b = costs(n, m, 4 if reg < 1 else 1), weights(kind, n), weights(kind, m)
                b = b * (a.sum() / b.sum())
                try:
                    plan, log = ot.sinkhorn(
                        a, b, cost, reg, method="sinkhorn_log", numItermax=10000, stopThr=1e-11, log=True
                    )
                except UserWarning:
                    print("not converged:", n, m, reg, kind)
                    continue
                print("balanced", n, m, reg, kind, log["niter"])
                keep("balanced", f"{n}x{m} eps {reg} {kind}", cost, a, b, plan, regularization=reg)


def unbalanced():
    infinite = float("inf")
    for n, m in [(1, 1), (1, 6), (6, 1), (5, 3), (12, 17)]:
        for reg, scale in [(1e-3, 0.3), (1e-2, 2.0), (0.1, 4.0), (1.0, 4.0)]:
            for pair in [(1.0, 1.0), (0.05, 0.2), (infinite, 0.1), (0.1, infinite)]:
                kind = "random" if pair[0] == 1.0 else "zeros"
                cost, a, b = costs(n, m, scale), weights(kind, n), weights(kind, m)
                b = f32(b * 1.5)
                # POT's scalings stop at a weight of zero: solve without those rows and columns, which stay empty.
                rows, columns = np.flatnonzero(a), np.flatnonzero(b)
                try:
                    inner, log = ot.unbalanced.sinkhorn_unbalanced(
                        a[rows],
                        b[columns],
                        cost[np.ix_(rows, columns)],
                        reg,
                        pair,
                        method="sinkhorn",
                        numItermax=100000,
                        stopThr=1e-14,
                        log=True,
                    )
                except UserWarning as problem:
                    print("left out:", n, m, reg, pair, problem)
                    continue
                plan = np.zeros((n, m))
                plan[np.ix_(rows, columns)] = inner
                if len(log["err"]) >= 100000:
                    print("not converged:", n, m, reg, pair)
                    continue
                print("unbalanced", n, m, reg, pair, len(log["err"]))
                names = [None if r == infinite else r for r in pair]
                keep(
                    "unbalanced",
                    f"{n}x{m} eps {reg} {kind} rho {pair}",
                    cost,
                    a,
                    b,
                    plan,
                    regularization=reg,
                    relaxation=names,
                )


def partial():
    for n, m in [(1, 1), (1, 6), (6, 1), (5, 3), (12, 17)]:
        for reg in [1e-3, 1e-2, 0.1, 1.0]:
            for share in [0.1, 0.5, 0.9, 1.0]:
                cost, a, b = costs(n, m, 1), weights("random", n), f32(weights("random", m) * 0.8)
                mass = float(np.float32(share * min(a.sum(), b.sum()) * (1 - 1e-6)))
                plan, log = ot.partial.entropic_partial_wasserstein(
                    a, b, cost, reg, mass, method="sinkhorn_log", numItermax=30000, stopThr=1e-12, log=True
                )
                if log["err"][-1] > 1e-12:
                    print("not converged:", n, m, reg, share, log["err"][-1])
                    continue
                print("partial", n, m, reg, share, len(log["err"]) * 10)
                keep("partial", f"{n}x{m} eps {reg} mass {share}", cost, a, b, plan, regularization=reg, mass=mass)


def priced():
    for n, m in [(1, 1), (1, 6), (6, 1), (5, 3), (12, 17)]:
        for reg in [1e-2, 0.05, 0.5]:
            for price in [0.0, 0.2, 0.7]:
                cost, a, b = costs(n, m, 1), weights("zeros", n), f32(weights("random", m) * 0.5)
                extended = np.zeros((n + 1, m + 1))
                extended[:n, :m] = cost
                extended[:n, m] = np.float32(price)
                source, target = np.append(a, b.sum()), np.append(b, a.sum())
                try:
                    plan = ot.sinkhorn(
                        source, target, extended, reg, method="sinkhorn_log", numItermax=10000, stopThr=1e-12
                    )
                except UserWarning:
                    print("not converged: priced", n, m, reg, price)
                    continue
                keep(
                    "priced",
                    f"{n}x{m} eps {reg} price {price}",
                    cost,
                    a,
                    b,
                    plan[:n, :m],
                    regularization=reg,
                    price=price,
                    unmatchedSource=numbers(plan[:n, m], 8),
                    unmatchedTarget=numbers(plan[n, :m], 8),
                )
    # Exact partial transport, which the entropic form approaches.
    cost, a, b = costs(8, 6, 1), f32(weights("random", 8) * 0.9), f32(weights("random", 6) * 0.9)
    for price in [0.1, 0.25, 0.5]:
        plan = ot.partial.partial_wasserstein_lagrange(a, b, cost, reg_m=price)
        keep("exact", f"lagrange {price}", cost, a, b, plan, regularization=1e-3, price=price)


def distances():
    x, y = f32(random.standard_normal((5, 11))), f32(random.standard_normal((4, 11)))
    factor = f32(random.standard_normal((6, 11)))
    # ot.dist does not hand VI on to SciPy.
    return {
        "x": numbers(x),
        "y": numbers(y),
        "factor": numbers(factor),
        "rows": 5,
        "columns": 4,
        "length": 11,
        "rank": 6,
        "squaredEuclidean": numbers(ot.dist(x, y), 9),
        "euclidean": numbers(ot.dist(x, y, metric="euclidean"), 9),
        "cosine": numbers(ot.dist(x, y, metric="cosine"), 9),
        "mahalanobis": numbers(cdist(x, y, metric="mahalanobis", VI=factor.T @ factor), 9),
    }


if __name__ == "__main__":
    balanced()
    unbalanced()
    partial()
    priced()
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps({"cases": cases, "distances": distances()}, separators=(",", ":")) + "\n")
    print(len(cases), "cases,", OUTPUT.stat().st_size, "bytes")
