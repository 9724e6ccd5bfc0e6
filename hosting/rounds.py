"""What the last tests of a server's models found, for its owner: how many were right, and its own wrong answers."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from django.db import connection

QUESTIONS = 5  # of a round
ROUNDS_SHOWN = 5

LATEST = """
-- hosting_consistencyanswer_last, a few rows of each model. The questions are not shown: they are asked again.
SELECT m.id, a.answered_at, a."right", a.counted, a.answer
  FROM hosting_hostedmodel m
 CROSS JOIN LATERAL (SELECT * FROM hosting_consistencyanswer c WHERE c.offer_id = m.id
                      ORDER BY c.answered_at DESC LIMIT %(answers)s) a
 WHERE m.server_id = ANY (%(servers)s) ORDER BY m.id, a.answered_at DESC
"""

Row = tuple[int, dt.datetime, bool, bool, str]


@dataclass(frozen=True, slots=True)
class Round:
    """Five questions; uncounted: no answer came, or the question was doubtful."""

    at: dt.datetime
    right: int
    wrong: int
    uncounted: int
    wrong_answers: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        return self.right + self.wrong + self.uncounted == QUESTIONS


def of_servers(server_ids: Sequence[int]) -> dict[int, list[Round]]:
    """The last rounds of every model of these servers that was tested, by the model's id."""
    with connection.cursor() as cursor:
        cursor.execute(LATEST, {"servers": list(server_ids), "answers": QUESTIONS * ROUNDS_SHOWN})
        rows = cursor.fetchall()
    return {offer: _rounds(list(found)) for offer, found in groupby(rows, key=lambda row: row[0])}


def _rounds(rows: list[Row]) -> list[Round]:
    return [_round(rows[start : start + QUESTIONS]) for start in range(0, len(rows), QUESTIONS)]


def _round(rows: list[Row]) -> Round:
    wrong = [answer for _, _, right, counted, answer in rows if counted and not right]
    return Round(
        at=rows[0][1],
        right=sum(1 for row in rows if row[2] and row[3]),
        wrong=len(wrong),
        uncounted=sum(1 for row in rows if not row[3]),
        wrong_answers=tuple(wrong),
    )
