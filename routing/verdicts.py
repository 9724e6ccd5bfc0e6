"""What an answer to a question of ours means: recorded, counted, and acted upon.

A model's consistency is a function of the counted answers since it was last taken off the market. Below 0.4 the
router leaves it out at once; it is deactivated, and its unreleased earnings since the last passed round go back to the
customers, when the answers prove that it is not what it says (`hosting.consistency.is_convicted`).
"""

import datetime as dt
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.db import connection, transaction

from hosting import answers, consistency, health, moderation
from hosting.models import ConsistencyAnswer, HostedModel, ModerationAction, Question
from hosting.moderation import Kind
from routing import conviction

RULE = "consistency"
RETEST_RULE = "retest"
ROUND = 5
ROUND_PASSED = 3
ALONE_RIGHT_MAX = 0.25  # without others to compare with, only who answers hardly anything right loses money
RETEST_PASSED = 4  # of 5
RESULTS_MAX = 1_000
ANSWER_CHARS_KEPT = 2_000

RESULTS = """
-- hosting_consistencyanswer_last: the latest counted answers of one model on one server, the newest first
SELECT a.right, a.answered_at FROM hosting_consistencyanswer a
 WHERE a.offer_id = %(offer)s AND a.counted AND a.answered_at > %(since)s AND a.answered_at <= %(as_of)s
 ORDER BY a.answered_at DESC, a.id DESC LIMIT %(most)s
"""
OTHERS = """
-- hosting_consistencyanswer_last, for each offer of the model by other owners: their counted answers of a week
SELECT s.hoster_id, count(*) FILTER (WHERE a.right)::int, count(*) FILTER (WHERE NOT a.right)::int
  FROM hosting_hostedmodel o JOIN hosting_server s ON s.id = o.server_id
  JOIN hosting_consistencyanswer a ON a.offer_id = o.id
 WHERE o.model_id = %(model)s AND s.hoster_id <> %(hoster)s AND a.counted AND a.answered_at <= %(as_of)s
   AND a.answered_at > %(as_of)s - interval '7 days'
 GROUP BY s.hoster_id
"""
OF_QUESTION = """
-- hosting_consistencyanswer_of: what every owner's servers answered to one question in a month
SELECT s.hoster_id, a.right
  FROM hosting_consistencyanswer a
  JOIN hosting_hostedmodel o ON o.id = a.offer_id JOIN hosting_server s ON s.id = o.server_id
 WHERE a.question_id = %(question)s AND a.answered_at > %(as_of)s - interval '30 days' AND a.request_id <> ''
 ORDER BY s.hoster_id
"""


@dataclass(frozen=True, slots=True)
class Record:
    """The counted answers of a model on a server, the oldest first, and what others reach; None when unknown."""

    results: tuple[bool, ...]
    times: tuple[dt.datetime, ...]
    expected: float | None

    @property
    def score(self) -> float:
        return consistency.score(self.results, expected=self.expected)

    @property
    def convicts(self) -> bool:
        return consistency.is_convicted(self.results, expected=self.expected)

    @property
    def last_passed_at(self) -> dt.datetime | None:
        """When the last round with three right answers of five ended."""
        return self.times[self._passed - 1] if self._passed else None

    @property
    def since_passed(self) -> tuple[bool, ...]:
        return self.results[self._passed :]

    @property
    def _passed(self) -> int:
        """How many answers there were when the last round was passed."""
        ends = [
            start + ROUND
            for start in range(0, len(self.results) - ROUND + 1, ROUND)
            if sum(self.results[start : start + ROUND]) >= ROUND_PASSED
        ]
        return ends[-1] if ends else 0


def record(
    offer_id: int, question: Question, *, text: str | None, cut_off: bool = False, request_id: str = ""
) -> ConsistencyAnswer:
    """Keep what a server answered, compute its consistency anew, and act when the answers convict it.

    text: None when no answer came. That, an answer that was cut off before it said anything right, and a question
    that hardly anybody answers right, count for nothing.
    """
    with transaction.atomic():
        # Locks the offer: its answers are recorded one after the other, so that a score is of all before its moment.
        offer = (
            HostedModel.objects.select_for_update(no_key=True, of=("self",))
            .select_related("server__hoster__customer__user")
            .get(pk=offer_id)
        )
        now = health.clock()
        right = text is not None and answers.is_right(text, answers=question.answers, kind=question.kind)
        told = text is not None and (right or not cut_off)
        counted = told and not consistency.is_doubtful(_of_question(question, now))
        found = ConsistencyAnswer.objects.create(
            offer=offer, question=question, answered_at=now, right=right, counted=counted,
            answer="" if right else (text or "")[:ANSWER_CHARS_KEPT].replace("\x00", ""), request_id=request_id,
        )  # fmt: skip
        judged = judge(offer, as_of=now)
        HostedModel.objects.filter(pk=offer.pk).update(consistency=judged.score, consistency_at=now)
        if offer.deactivated_at is not None:
            _retest(offer, now)
        elif judged.convicts:
            _convict(offer, judged, now)
    return found


def judge(offer: HostedModel, *, as_of: dt.datetime) -> Record:
    """The record of a model on a server as it was at that moment; its score is the one that was stored then."""
    assert offer.server.hoster_id is not None
    with connection.cursor() as cursor:
        since = judged_since(offer, as_of=as_of)
        cursor.execute(RESULTS, {"offer": offer.pk, "since": since, "as_of": as_of, "most": RESULTS_MAX})
        rows = cursor.fetchall()[::-1]
        cursor.execute(OTHERS, {"model": offer.model_id, "hoster": offer.server.hoster_id, "as_of": as_of})
        others: dict[Hashable, list[bool]] = {
            owner: [True] * right + [False] * wrong for owner, right, wrong in cursor.fetchall()
        }
    return Record(
        results=tuple(right for right, _ in rows),
        times=tuple(at for _, at in rows),
        expected=consistency.expected_accuracy(others),
    )


def judged_since(offer: HostedModel, *, as_of: dt.datetime) -> dt.datetime:
    """Since when answers count: what led to the last deactivation was dealt with then."""
    last = (
        ModerationAction.objects.filter(offer=offer, kind=Kind.DEACTIVATE, created_at__lte=as_of)
        .order_by("-created_at")
        .first()
    )
    return last.created_at if last else offer.created_at


def _convict(offer: HostedModel, judged: Record, now: dt.datetime) -> None:
    latest = judged.results[-3 * ROUND :]
    since = judged.last_passed_at or judged_since(offer, as_of=now)
    proven = judged.expected is not None or sum(judged.since_passed) <= ALONE_RIGHT_MAX * len(
        judged.since_passed
    )
    money = "What it earned since its last passed round and was not released yet goes back to the customers. "
    action = moderation.deactivate_offer(
        offer,
        rule=RULE,
        reason=f"{offer.model_id} on {offer.server.name} does not answer like {offer.model_id}: of the last "
        f"{len(latest)} factual questions it answered {sum(latest)} right. It gets no requests. "
        f"{money if proven else ''}Check which model it serves, then ask for a new test on your portal.",
        evidence={
            "answers": len(judged.results),
            "wrong": judged.results.count(False),
            "consistency": round(judged.score, 4),
            "expected": judged.expected,
            "likelihood_log10": round(consistency.evidence(judged.results, expected=judged.expected), 2),
            **(
                conviction.reversal(server_id=offer.server_id, model=offer.model_id, since=since)
                if proven
                else {}
            ),
        },
    )
    if action is not None and proven:
        transaction.on_commit(lambda: conviction.carry_out(action))


def _retest(offer: HostedModel, now: dt.datetime) -> None:
    """The owner asked for a new test: four right answers of five put the model back on the market."""
    if offer.retest_at is None:
        return
    asked = list(
        offer.consistency_answers.filter(counted=True, answered_at__gt=offer.retest_at, answered_at__lte=now)
        .order_by("answered_at")
        .values_list("right", flat=True)[:ROUND]
    )
    if len(asked) < ROUND:
        return
    right = sum(asked)
    evidence = {"right": right, "questions": ROUND}
    if right >= RETEST_PASSED:
        reason = f"{offer.model_id} answered {right} of {ROUND} questions right and is back on the market."
        moderation.reinstate_offer(offer, rule=RETEST_RULE, reason=reason, evidence=evidence)
        return
    HostedModel.objects.filter(pk=offer.pk).update(retest_at=None)
    assert offer.server.hoster is not None
    moderation.act(
        Kind.NOTICE,
        offer.server.hoster,
        server=offer.server,
        rule=RETEST_RULE,
        reason=f"{offer.model_id} answered {right} of {ROUND} questions right; {RETEST_PASSED} are needed. "
        "Check which model it serves, then ask for another test.",
        evidence=evidence,
    )


def _of_question(question: Question, as_of: dt.datetime) -> dict[Hashable, list[bool]]:
    with connection.cursor() as cursor:
        cursor.execute(OF_QUESTION, {"question": question.pk, "as_of": as_of})
        return _by_owner(cursor.fetchall())


def _by_owner(rows: Sequence[tuple[int, bool]]) -> dict[Hashable, list[bool]]:
    return {owner: [right for _, right in group] for owner, group in groupby(rows, key=lambda row: row[0])}
