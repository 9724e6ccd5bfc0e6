"""Money follows evidence while it is held: what a convicted server earned goes back to those who paid.

An action's evidence says what is to be given back, so that a sweep can carry it out, and do so again for requests that
were under way when it was taken. Each charge is reversed at most once, whoever asks.
"""

import datetime as dt
import math
import uuid
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction

from accounts.models import User
from billing import disputes, ledger
from billing.disputes import Undecidable
from billing.ledger import FEE_BACK, NET_BACK, REVERSALS_MAX, Reversal
from billing.models import Dispute
from hosting.models import ModerationAction
from routing.models import InferenceRequest

log = structlog.get_logger(__name__)

REVERSAL = "reversal"  # in an action's evidence
MARGIN = dt.timedelta(minutes=20)  # a request's id is of its beginning, its booking of its end

PAID = f"""
-- routing_inferencerequest_server (server, id): the paid requests of a model on a server that were booked since
-- and that began before the action (ids are UUIDv7), without those that were reversed already (billing_transfer_pkey)
SELECT r.id, r.input_tokens, r.output_tokens, r.claimed_input_tokens, r.claimed_output_tokens
  FROM routing_inferencerequest r
 WHERE r.server_id = %(server)s AND r.id > %(after)s::uuid AND r.id < %(before)s::uuid AND r.model_id = %(model)s
   AND r.created_at >= %(since)s AND r.cost_nanos > 0
   AND NOT EXISTS (SELECT 1 FROM billing_transfer t
                    WHERE t.id IN (billing_transfer_id(r.id, {NET_BACK}), billing_transfer_id(r.id, {FEE_BACK})))
 ORDER BY r.id
"""
OPEN = """
-- few rows: those of the last day whose earnings may still be held, until nothing can be under way any more
SELECT id FROM hosting_moderationaction
 WHERE created_at > now() - interval '25 hours' AND evidence ? 'reversal'
   AND (NOT evidence ? 'nanos_back' OR created_at > now() - interval '30 minutes')
 ORDER BY id
"""


def reversal(
    *, server_id: int, model: str, since: dt.datetime, keep_input: float = 0.0, keep_output: float = 0.0
) -> dict[str, Any]:
    """What an action's evidence says of the money. keep: the part of the claimed tokens that stays paid, 0 for none."""
    return {
        REVERSAL: {
            "server": server_id,
            "model": model,
            "since": since.isoformat(),
            "keep_input": keep_input,
            "keep_output": keep_output,
        }
    }


def carry_out(action: ModerationAction) -> int:
    """Give back what the action's evidence says, as far as it is not released yet; nanodollars. Safe to repeat."""
    told = action.evidence[REVERSAL]
    held = dt.timedelta(seconds=settings.EARNINGS_HOLD_S) + MARGIN  # what is older was released
    since = max(dt.datetime.fromisoformat(told["since"]), action.created_at - held)
    with connection.cursor() as cursor:
        cursor.execute(
            PAID,
            {
                "server": told["server"], "model": told["model"], "since": since,
                "after": _first_id(since - MARGIN), "before": _first_id(action.created_at),
            },
        )  # fmt: skip
        paid = cursor.fetchall()
    back_nanos = 0
    for start in range(0, len(paid), REVERSALS_MAX):
        reversals = [_reversal(told, *request) for request in paid[start : start + REVERSALS_MAX]]
        done = ledger.reverse(reversals=reversals, reason=f"moderation {action.pk}: {action.rule}")
        back_nanos += sum(one.gross_back_nanos for one in done)
        if not told["keep_input"] and not told["keep_output"]:
            back_nanos += sum(_uphold(one.charge, action) for one in done if one.status == "disputed")
    _keep_count(action, back_nanos)
    return back_nanos


def _reversal(
    told: dict[str, Any],
    charge: uuid.UUID,
    input_tokens: int,
    output_tokens: int,
    claimed_input: int | None,
    claimed_output: int | None,
) -> Reversal:
    """What an action leaves of one request. told: its evidence of the money."""
    return Reversal(
        charge,
        kept(input_tokens, claimed_input, told["keep_input"]),
        kept(output_tokens, claimed_output, told["keep_output"]),
    )


def _keep_count(action: ModerationAction, back_nanos: int) -> None:
    """Add to what the action's evidence says was given back; 0 says that it was carried out."""
    with transaction.atomic():  # a sweep and a verdict may both be at it
        row = ModerationAction.objects.select_for_update().get(pk=action.pk)
        counted = row.evidence.get("nanos_back", 0) + back_nanos
        action.evidence = {**row.evidence, "nanos_back": counted}
        action.save(update_fields=["evidence"])
    if back_nanos:
        log.warning("earnings.reversed", action=action.pk, rule=action.rule, nanos=back_nanos)


def _uphold(charge: uuid.UUID, action: ModerationAction) -> int:
    """The conviction decides a dispute of the same request; nanodollars given back."""
    dispute = Dispute.objects.get(charge=charge)
    try:
        disputes.decide(dispute=dispute, upheld=True, verdict=action.reason, actor=None)
    except Undecidable:  # a person was quicker
        return 0
    return dispute.gross_nanos


def reject(*, dispute: Dispute, verdict: str, actor: User) -> Dispute:
    """The dispute is rejected; then a conviction that waited for this takes its excess. Raises Undecidable."""
    rejected = disputes.decide(dispute=dispute, upheld=False, verdict=verdict, actor=actor)
    request = InferenceRequest.objects.select_related("server").get(pk=dispute.charge)
    actions = ModerationAction.objects.filter(
        hoster=request.server.hoster_id if request.server else None,
        evidence__reversal__server=request.server_id,
        evidence__reversal__model=request.model_id,
    )
    action = next((one for one in actions.order_by("pk") if _covers(one, request)), None)
    if action is not None:
        left = _reversal(
            action.evidence[REVERSAL], request.pk, request.input_tokens, request.output_tokens,
            request.claimed_input_tokens, request.claimed_output_tokens,
        )  # fmt: skip
        (done,) = ledger.reverse(reversals=[left], reason=f"moderation {action.pk}: {action.rule}")
        _keep_count(action, done.gross_back_nanos)
    return rejected


def _covers(action: ModerationAction, request: InferenceRequest) -> bool:
    """Whether the request was booked since what the action says, and began before it; as PAID has it."""
    since = dt.datetime.fromisoformat(action.evidence[REVERSAL]["since"])
    return since <= request.created_at and request.pk.hex < _first_id(action.created_at)


def kept(billed: int, claimed: int | None, part: float) -> int:
    """Of billed tokens those that stay paid: this part of what was claimed, which may be more than was billed."""
    return min(billed, math.ceil((billed if claimed is None else claimed) * part))


def carry_out_all() -> int:
    """Every action whose money may not all be back yet; nanodollars."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN)
        ids = [row[0] for row in cursor.fetchall()]
    return sum(carry_out(action) for action in ModerationAction.objects.filter(pk__in=ids).order_by("pk"))


def _first_id(moment: dt.datetime) -> str:
    """The first UUIDv7 of a moment, in hex."""
    return f"{max(int(moment.timestamp() * 1_000), 0):012x}{'0' * 20}"
