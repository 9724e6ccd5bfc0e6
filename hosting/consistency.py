"""Does a server give the answers of the model that it lists? Scores and convictions from counted answers.

Pure: recorded answers in, numbers out; "results" are right or wrong, oldest first, of one model on one server.

The constants were set with simulations. With a prior accuracy of 0.9, a weight of 0.15 and a threshold of 6 a
canned text is convicted by its 8th answer, and a swapped model that knows a fifth within 15 answers in 91 to 93 of
100 cases. An honest server of accuracy 0.9 is convicted once in 4.9 million answers, one of 0.85 once in 130,000
(720 answers are a day). A prior of 0.85 convicts 75 of 100 swapped models in time, a weight of 0.1 convicts 78.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from itertools import accumulate
from statistics import median

from hosting.answers import is_right as is_right

WEIGHT_OF_AN_ANSWER = 0.15
ANSWERS_MAX = 100  # older ones do not move the score: their weight is below 10⁻⁷
SCORE_MIN = 0.4  # below, a server gets no requests
CONVICT_AT = 6.0  # log10 of the likelihood ratio
PRIOR_ACCURACY = 0.9  # the questions are easy
# What an honest server is held to; 0.9 forgives some difference from its peers.
ACCURACY_MIN, ACCURACY_MAX = 0.5, 0.9
CHEAT_RATIO = 0.35  # the accuracy of a cheat, relative to an honest server's
OWNERS_MIN, OWNER_ANSWERS_MIN = 2, 20
DOUBT_OWNERS_MIN, DOUBT_RIGHT_MAX = 3, 0.2


def score(results: Sequence[bool], *, expected: float | None = None) -> float:
    """Consistency from 0 to 1: a moving average that starts at 1, relative to what others reach.

    expected: the accuracy of other owners' servers of the same model, None when unknown. A model that knows little
    is not a cheat, so an answer counts for more where all know less.
    """
    average = 1.0
    for right in results[-ANSWERS_MAX:]:
        average += WEIGHT_OF_AN_ANSWER * (right - average)
    return average if expected is None else min(1.0, average / max(expected, ACCURACY_MIN))


def evidence(results: Sequence[bool], *, expected: float | None) -> float:
    """How much likelier the latest answers are from a cheat than from an honest server, as log10; at least 0.

    A cumulative sum (CUSUM) of log likelihood ratios, set back to 0 when it falls below: accuracy p1 = 0.35 p0
    against p0, which is `expected` within 0.5 to 0.9, or 0.9. It may be looked at after every answer: of a
    server that is as good as p0, it passes a threshold of h on average no sooner than after 10^h answers.
    Source: E. S. Page, "Continuous inspection schemes", 1954; G. Lorden, "Procedures for reacting to a change in
    distribution", 1971, theorem 2; for a single start J. Ville's inequality, 1939.
    """
    honest = min(ACCURACY_MAX, max(ACCURACY_MIN, PRIOR_ACCURACY if expected is None else expected))
    cheat = CHEAT_RATIO * honest
    if_right, if_wrong = math.log10(cheat / honest), math.log10((1 - cheat) / (1 - honest))
    sums = accumulate((if_right if right else if_wrong for right in results), _not_below_zero, initial=0.0)
    return list(sums)[-1]


def is_convicted(results: Sequence[bool], *, expected: float | None) -> bool:
    """Whether the answers so far prove that another model answers: a low score, and not by chance."""
    return (
        score(results, expected=expected) < SCORE_MIN and evidence(results, expected=expected) >= CONVICT_AT
    )


def expected_accuracy(others: Mapping[Hashable, Sequence[bool]]) -> float | None:
    """The accuracy to expect of a model: the median over other owners, None with fewer than two to ask.

    others: the counted answers by owner, of all servers of the owner together. One owner is one vote, and needs
    at least 20 answers for it.
    """
    accuracies = [
        sum(results) / len(results) for results in others.values() if len(results) >= OWNER_ANSWERS_MIN
    ]
    return median(accuracies) if len(accuracies) >= OWNERS_MIN else None


def is_doubtful(by_owner: Mapping[Hashable, Sequence[bool]]) -> bool:
    """Whether a question is set aside: hardly any owner's servers answer it right, so the fault is ours.

    by_owner: the results of this question by owner. At least 3 owners; an owner's vote is the majority of its
    results, a tie counts as right; at most 20 % of the votes may be right.
    """
    votes = [2 * sum(results) >= len(results) for results in by_owner.values() if results]
    return len(votes) >= DOUBT_OWNERS_MIN and sum(votes) <= DOUBT_RIGHT_MAX * len(votes)


def _not_below_zero(total: float, step: float) -> float:
    return max(0.0, total + step)
