"""Is it still the same model? Two fingerprints, compared in words. Pure."""

import hashlib
from collections.abc import Sequence
from typing import Any

SPEED_FACTOR = 3
MS_PER_TOKEN_FLOOR = 5.0  # below, the network is what was measured
NAME_CHARS_MAX = 200

Fingerprint = dict[str, Any]


def fingerprint(
    *, model: str, system_fingerprint: str, answers: Sequence[str], ms_per_token: float
) -> Fingerprint:
    """What a model looked like: the server's words for it, digests of fixed answers (no text), and its speed."""
    return {
        "model": model[:NAME_CHARS_MAX],
        "system_fingerprint": system_fingerprint[:NAME_CHARS_MAX],
        "answers": [hashlib.sha256(normalised(answer).encode()).hexdigest() for answer in answers],
        "ms_per_token": round(ms_per_token, 1),
    }


def changed(before: Fingerprint, now: Fingerprint) -> list[str]:
    """The names of what changed; empty when nothing did, or nothing can be compared.

    A server does not answer word for word the same on every machine: answers count only when all of them changed.
    """
    words = []
    for field, name in (("model", "the model's name"), ("system_fingerprint", "the system fingerprint")):
        if before.get(field) and now.get(field) and before[field] != now[field]:
            words.append(name)
    pairs = list(zip(before.get("answers", []), now.get("answers", []), strict=False))
    if pairs and all(one != other for one, other in pairs):
        words.append("the answers to fixed questions")
    if before.get("ms_per_token") and now.get("ms_per_token"):
        slow, fast = sorted(
            (max(print_["ms_per_token"], MS_PER_TOKEN_FLOOR) for print_ in (before, now)), reverse=True
        )
        if slow >= SPEED_FACTOR * fast:
            words.append("the speed")
    return words


def normalised(answer: str) -> str:
    """Without what varies for no reason: case and white space."""
    return " ".join(answer.casefold().split())
