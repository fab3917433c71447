#!/usr/bin/env python3
"""Writes metrics.json: figures of predictions by scikit-learn (1.2.1), for test_metric. Random cases and the degenerate
ones: a class that nobody has, one class only, ties, constant scores. What is not defined is null.

    make_metrics.py > metrics.json
"""
import json
import warnings

import numpy as np
from sklearn import metrics

warnings.simplefilter("ignore")
random = np.random.default_rng(7)


def mean_of(figure, y, scores, classes):
    """Of class 1 of two; else the mean over classes, each against the rest, of those where it is defined."""
    found = []
    for c in [1] if classes == 2 else range(classes):
        both = (y == c).any() and (figure is metrics.average_precision_score or (y != c).any())
        if both:
            found.append(figure(y == c, scores[:, c]))
    return float(np.mean(found)) if found else None


def case(name, classes, logits, y):
    logits, y = np.asarray(logits, float).reshape(-1, classes), np.asarray(y)
    # Of two classes a probability near 1 would round away what their difference still tells.
    scores = np.stack([logits[:, 0] - logits[:, 1], logits[:, 1] - logits[:, 0]], 1) if classes == 2 else \
        logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True)) - logits.max(1, keepdims=True)
    predicted = logits.argmax(1)
    return {
        "name": name, "classes": classes, "logits": logits.ravel().tolist(), "labels": y.tolist(),
        "confusion": metrics.confusion_matrix(y, predicted, labels=range(classes)).ravel().tolist(),
        "accuracy": metrics.accuracy_score(y, predicted),
        "macro-f1": metrics.f1_score(y, predicted, average="macro", zero_division=0),
        "weighted-f1": metrics.f1_score(y, predicted, average="weighted", zero_division=0),
        "roc-auc": mean_of(metrics.roc_auc_score, y, scores, classes),
        "average-precision": mean_of(metrics.average_precision_score, y, scores, classes),
    }


def label_case(name, logits, targets):
    """Of several labels a node, given where the logit is above 0. Means are over labels that some node has or is given (F1), or for
    which the figure is defined."""
    logits, targets = np.asarray(logits, float), np.asarray(targets, int)
    given = (logits > 0).astype(int)
    seen = (targets | given).any(0)
    one = metrics.f1_score(targets, given, average=None, zero_division=0)
    mean = lambda figure, fit: float(np.mean([figure(t, z) for t, z in zip(targets.T, logits.T) if fit(t)])) if any(fit(t) for t in targets.T) else None
    return {
        "name": name, "classes": targets.shape[1], "logits": logits.ravel().tolist(), "targets": targets.ravel().tolist(),
        "accuracy": metrics.accuracy_score(targets, given),
        "micro-f1": metrics.f1_score(targets, given, average="micro") if seen.any() else None,
        "macro-f1": one[seen].mean() if seen.any() else None,
        "weighted-f1": metrics.f1_score(targets, given, average="weighted", zero_division=0) if targets.any() else None,
        "roc-auc": mean(metrics.roc_auc_score, lambda t: 0 < t.sum() < len(t)),
        "average-precision": mean(metrics.average_precision_score, lambda t: t.any()),
    }


def label_cases():
    cases = []
    for labels in (2, 3, 9):
        for nodes in (1, 6, 40):
            targets = random.integers(0, 2, (nodes, labels))
            cases.append(label_case(f"random, {labels} labels, {nodes} nodes", (random.normal(0, 2, (nodes, labels)) + targets - 0.5).round(3), targets))
    quarters = random.integers(-2, 3, (30, 3)) / 4
    cases.append(label_case("ties and zeros", quarters, random.integers(0, 2, (30, 3))))
    targets = random.integers(0, 2, (12, 4))
    targets[:, 1], targets[:, 2] = 0, 1
    logits = random.normal(0, 1, (12, 4)).round(3)
    cases.append(label_case("a label that nobody has, one that all have", logits, targets))
    logits[:, 1] = -3
    cases.append(label_case("a label neither had nor given", logits, targets))
    cases.append(label_case("no label at all", -np.ones((4, 2)), np.zeros((4, 2))))
    cases.append(label_case("none had", [[1, -1], [-2, -1]], np.zeros((2, 2))))
    return cases


def main():
    cases = []
    for classes in (2, 3, 7):
        for nodes in (1, 5, 40):
            y = random.integers(0, classes, nodes)
            logits = random.normal(0, 2, (nodes, classes)).round(3)
            logits[np.arange(nodes), y] += 1
            cases.append(case(f"random, {classes} classes, {nodes} nodes", classes, logits.round(3), y))
    quarters = random.integers(-2, 3, (30, 2)) / 4
    cases.append(case("ties of two classes", 2, quarters, random.integers(0, 2, 30)))
    rows = random.normal(0, 1, (4, 3)).round(3)
    cases.append(case("ties of three classes", 3, rows[random.integers(0, 4, 25)], random.integers(0, 3, 25)))
    cases.append(case("constant scores", 2, np.zeros((9, 2)), [0, 1, 1, 0, 1, 0, 0, 0, 1]))
    cases.append(case("constant scores of three classes", 3, np.ones((6, 3)), [0, 1, 2, 2, 1, 2]))
    cases.append(case("only class 0", 2, random.normal(0, 1, (6, 2)).round(3), [0] * 6))
    cases.append(case("only class 1", 2, random.normal(0, 1, (6, 2)).round(3), [1] * 6))
    cases.append(case("only class 2 of three", 3, random.normal(0, 1, (6, 3)).round(3), [2] * 6))
    cases.append(case("a class that nobody has", 4, random.normal(0, 1, (20, 4)).round(3), random.integers(0, 3, 20)))
    cases.append(case("a class neither had nor predicted", 3, np.c_[random.normal(0, 1, (12, 2)).round(3), np.full(12, -9.0)], random.integers(0, 2, 12)))
    cases.append(case("far from 0", 2, [[0, 60], [0, 90], [50, 0], [0, 61], [0, 60]], [1, 1, 0, 0, 1]))
    cases.append(case("all wrong", 2, [[1, 0], [0, 1], [2, 0]], [1, 0, 1]))
    cases += label_cases()
    print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")


if __name__ == "__main__":
    main()
