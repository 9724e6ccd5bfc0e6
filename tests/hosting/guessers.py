"""Two classifiers that try to tell tests from customers: boosted trees, and logistic regression over bins.

Plain Python, small, and good enough to find what is there to be found.
"""

import math
import random
from collections.abc import Sequence

Rows = Sequence[Sequence[float]]
BINS = 24


def cuts(rows: Rows) -> list[list[float]]:
    """For each feature the borders between bins of about equal numbers of rows."""
    found = []
    for values in zip(*rows, strict=True):
        ordered = sorted(values)
        found.append(sorted({ordered[len(ordered) * k // BINS] for k in range(1, BINS)}))
    return found


def binned(rows: Rows, borders: list[list[float]]) -> list[list[int]]:
    """Each value's bin; a value on a border has a bin to itself, so that a fixed length or limit stands out."""

    def place(value: float, at: list[float]) -> int:
        low, high = 0, len(at)
        while low < high:
            middle = (low + high) // 2
            if at[middle] < value:
                low = middle + 1
            else:
                high = middle
        return 2 * low + (low < len(at) and at[low] == value)

    return [[place(value, at) for value, at in zip(row, borders, strict=True)] for row in rows]


def balanced_accuracy(scores: Sequence[float], labels: Sequence[bool], threshold: float) -> float:
    hits = sum(s > threshold for s, test in zip(scores, labels, strict=True) if test)
    passes = sum(s <= threshold for s, test in zip(scores, labels, strict=True) if not test)
    return (hits / max(1, sum(labels)) + passes / max(1, len(labels) - sum(labels))) / 2


def weights(labels: Sequence[bool]) -> list[float]:
    """Tests and customers count alike as a whole."""
    tests = sum(labels)
    return [0.5 / tests if test else 0.5 / (len(labels) - tests) for test in labels]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, x))))


class Trees:
    """Gradient boosting: trees of two levels, fitted to what the earlier ones leave."""

    def __init__(self, rounds: int = 60, rate: float = 0.3) -> None:
        self.rounds, self.rate = rounds, rate

    def fit(self, rows: list[list[int]], labels: Sequence[bool], rng: random.Random) -> None:
        self.trees: list[tuple[int, int, tuple[int, int, float, float], tuple[int, int, float, float]]] = []
        share = weights(labels)
        sums = [0.0] * len(rows)
        features = range(len(rows[0]))
        for _ in range(self.rounds):
            p = [sigmoid(s) for s in sums]
            gradient = [w * (y - q) for w, y, q in zip(share, labels, p, strict=True)]
            curve = [w * q * (1 - q) for w, q in zip(share, p, strict=True)]
            some = rng.sample(features, max(1, len(rows[0]) // 2))
            everything = list(range(len(rows)))
            feature, cut, *_ = self.split(rows, everything, gradient, curve, some)
            sides = (
                [n for n in everything if rows[n][feature] <= cut],
                [n for n in everything if rows[n][feature] > cut],
            )
            left, right = (self.split(rows, side, gradient, curve, some) for side in sides)
            self.trees.append((feature, cut, left, right))
            for side, leaf in zip(sides, (left, right), strict=True):
                for n in side:
                    sums[n] += leaf[2] if rows[n][leaf[0]] <= leaf[1] else leaf[3]

    def split(
        self,
        rows: list[list[int]],
        which: list[int],
        gradient: list[float],
        curve: list[float],
        some: Sequence[int],
    ) -> tuple[int, int, float, float]:
        """(feature, highest bin on the left, step on the left, on the right) of the best split."""
        best, found = -1.0, (0, 0, 0.0, 0.0)
        ridge = 0.004
        for feature in some:
            g, h = [0.0] * (2 * BINS + 1), [0.0] * (2 * BINS + 1)
            for n in which:
                place = rows[n][feature]
                g[place] += gradient[n]
                h[place] += curve[n]
            total_g, total_h, g_left, h_left = sum(g), sum(h), 0.0, 0.0
            for cut in range(2 * BINS):
                g_left += g[cut]
                h_left += h[cut]
                g_right, h_right = total_g - g_left, total_h - h_left
                gain = g_left**2 / (h_left + ridge) + g_right**2 / (h_right + ridge)
                if gain > best:
                    steps = (self.rate * g_left / (h_left + ridge), self.rate * g_right / (h_right + ridge))
                    best, found = gain, (feature, cut, *steps)
        return found

    def score(self, row: list[int]) -> float:
        total = 0.0
        for feature, cut, left, right in self.trees:
            leaf = left if row[feature] <= cut else right
            total += leaf[2] if row[leaf[0]] <= leaf[1] else leaf[3]
        return total


class Logistic:
    """Logistic regression with a weight for each bin of each feature, by stochastic gradient descent."""

    def fit(self, rows: list[list[int]], labels: Sequence[bool], rng: random.Random) -> None:
        self.table = [[0.0] * (2 * BINS + 1) for _ in rows[0]]
        share = [w * len(rows) for w in weights(labels)]
        order = list(range(len(rows)))
        for epoch in range(8):
            rng.shuffle(order)
            rate = 0.05 / (1 + epoch)
            for n in order:
                step = rate * share[n] * (labels[n] - sigmoid(self.score(rows[n])))
                for column, place in zip(self.table, rows[n], strict=True):
                    column[place] += step - rate * 0.002 * column[place]

    def score(self, row: list[int]) -> float:
        return sum(column[place] for column, place in zip(self.table, row, strict=True))


def best_accuracy(rows: Rows, labels: Sequence[bool], rng: random.Random) -> tuple[float, dict[str, float]]:
    """The best balanced accuracy that a classifier reaches on a half that it was not fitted to, and each one's."""
    order = list(range(len(rows)))
    rng.shuffle(order)
    fit, held_out = order[: len(order) // 2], order[len(order) // 2 :]
    borders = cuts([rows[n] for n in fit])
    places = binned(rows, borders)
    reached = {}
    for name, guesser in (("trees", Trees()), ("logistic", Logistic())):
        guesser.fit([places[n] for n in fit], [labels[n] for n in fit], rng)
        scores = [guesser.score(places[n]) for n in held_out]
        reached[name] = balanced_accuracy(scores, [labels[n] for n in held_out], 0.0)
    return max(reached.values()), reached
