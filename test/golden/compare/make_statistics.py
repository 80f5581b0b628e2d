#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes statistics.json, once: values of scipy and numpy for the unit tests of axiom-compare.

    python3 make_statistics.py > statistics.json          scipy 1.15 (pip), for quantile_test
    python3 make_statistics.py --check statistics.json     Debian 12's scipy 1.10.1, which has none:
                                                           the rest is the same

An interval of a ratio is found by asking mannwhitneyu(r * x, y, method=...) for r between all
neighbouring ratios; the method is the one that "auto" takes for x and y without ties."""
import itertools
import json
import sys

import numpy as np
import scipy
from scipy import stats

CONFIDENCE = 0.95


def samples():
    random = np.random.Generator(np.random.PCG64(7))

    def speeds(n, level, spread, digits=3):
        return [round(float(v), digits) for v in level * np.exp(spread * random.standard_normal(n))]

    yield "one and one", speeds(1, 10, 0.1), speeds(1, 10, 0.1)
    yield "two and three", speeds(2, 10, 0.1), speeds(3, 11, 0.1)
    yield "three and three apart", [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]
    yield "four and four apart", [1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.5]
    yield "five and five", speeds(5, 100, 0.03), speeds(5, 95, 0.03)
    yield "eight and eight", speeds(8, 31, 0.05), speeds(8, 32, 0.05)
    yield "eight and forty", speeds(8, 31, 0.05), speeds(40, 30, 0.05)
    yield "three and two hundred", speeds(3, 31, 0.05), speeds(200, 28, 0.05)
    yield "nine and nine", speeds(9, 50, 0.02), speeds(9, 52, 0.02)
    yield "twenty and thirty", speeds(20, 50, 0.02), speeds(30, 49, 0.04)
    yield "few with ties", [5.0, 5.0, 6.0, 7.0], [5.0, 6.5, 7.0, 8.0, 9.0]
    yield "many with ties", speeds(25, 10, 0.1, 0), speeds(25, 11, 0.1, 0)
    yield "all equal", [3.0] * 5, [3.0] * 6
    yield "one against many", [42.0], speeds(30, 40, 0.02)
    yield "heavy tail", speeds(12, 10, 1.0), speeds(15, 20, 1.0)
    yield "far apart in size", [1e-6, 2e-6, 5e-6, 7e-6, 8e-6], [1e6, 2e6, 3e6, 4e6, 9e6]


def ratio_interval(x, y):
    x, y = np.array(x), np.array(y)
    ratios = np.sort(np.divide.outer(y, x).ravel())
    method = "exact" if min(len(x), len(y)) <= 8 else "asymptotic"
    between = [ratios[0] / 2, *np.sqrt(ratios[:-1] * ratios[1:]), ratios[-1] * 2]
    kept = [stats.mannwhitneyu(r * x, y, method=method).pvalue > 1 - CONFIDENCE for r in between]
    inside = [i for i, k in enumerate(kept) if k]
    first, last = inside[0], inside[-1]
    return [float(ratios[first - 1]) if first > 0 else None,
            float(ratios[last]) if last < len(ratios) else None]


def number(v):
    return None if np.isnan(v) else float(v)


def case(name, x, y):
    test = stats.mannwhitneyu(x, y)
    tied = len(set(x + y)) < len(x + y)
    out = {"name": name, "x": x, "y": y, "u": float(test.statistic), "p": float(test.pvalue),
           "exact": min(len(x), len(y)) <= 8 and not tied,
           "ratio": float(np.median(np.divide.outer(y, x)))}
    if len(set(np.divide.outer(np.array(y), np.array(x)).ravel())) == len(x) * len(y):
        out["ratio_interval"] = ratio_interval(x, y)
    out["quantiles"] = [{"q": q, "value": float(np.quantile(y, q))}
                        for q in (0, 0.01, 0.25, 0.5, 0.9, 0.99, 1)]
    if hasattr(stats, "quantile_test"):
        for entry in out["quantiles"]:
            q = entry["q"]
            if 0 < q < 1:
                interval = stats.quantile_test(y, p=q).confidence_interval(CONFIDENCE)
                entry["interval"] = [number(interval.low), number(interval.high)]
    return out


def close(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-12 * max(1, abs(a))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(close, a, b))
    if isinstance(a, dict):
        return all(close(a[k], b[k]) for k in a.keys() & b.keys())
    return a == b


def main():
    made = [case(*sample) for sample in samples()]
    if sys.argv[1:2] == ["--check"]:
        with open(sys.argv[2], encoding="utf-8") as file:
            kept = json.load(file)["cases"]
        wrong = [a["name"] for a, b in itertools.zip_longest(made, kept) if not close(a, b)]
        print(f"scipy {scipy.__version__}: {len(made) - len(wrong)} alike, {len(wrong)} not {wrong}")
        return bool(wrong)
    print(json.dumps({"scipy": scipy.__version__, "numpy": np.__version__,
                      "confidence": CONFIDENCE, "cases": made}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
