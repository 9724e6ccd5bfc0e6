"""One request as its customer may see it: what was asked, who served it, what was counted and paid, and why there.

Only reads. Never a server's address or token, never a word of the prompt or the answer: none is kept.
"""

import datetime as dt
import re
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from accounts.models import Customer
from billing.ledger import FEE_BACK, NET_BACK
from billing.models import Charge, Transfer
from routing import endings
from routing.models import InferenceRequest

TAGS = 255  # a charge's transfers carry its id with another last byte
NAMED = re.compile(r"(?:req_|chatcmpl-|cmpl-)?([0-9a-fA-F]{32})")
NOT_SHOWN = "shape"  # of an explanation: for our own tests of servers, no reason for anything


@dataclass(frozen=True, slots=True)
class Side:
    """Input or output. claimed: tokens that the server stated, None when none. price: nanodollars per token."""

    claimed_tokens: int | None
    billed_tokens: int
    price_nanos: int

    @property
    def cost_nanos(self) -> int:
        return self.billed_tokens * self.price_nanos

    @property
    def claim_was_cut(self) -> bool:
        """Whether fewer tokens are billed than the server wanted."""
        return self.claimed_tokens is not None and self.claimed_tokens > self.billed_tokens


@dataclass(frozen=True, slots=True)
class Receipt:
    """A request and its charge. Nanodollars: cost = fee + net, and `refunded` is what came back of the cost.

    server and hoster are names; hoster is empty for the platform's own. explanation is routing.chooser's, with the
    attempts, or None when it was not kept.
    """

    id: uuid.UUID
    created_at: dt.datetime
    key_id: int
    key_name: str
    model_asked: str
    model: str
    endpoint: str
    streamed: bool
    outcome: str
    success: bool
    attempts: int
    provider: str
    server_id: int | None
    server: str
    hoster: str
    ttft_ms: int | None
    latency_ms: int
    input: Side
    output: Side
    hold_nanos: int
    cost_nanos: int
    fee_nanos: int
    net_nanos: int
    fee_bps: int
    settled_at: dt.datetime | None
    matures_at: dt.datetime | None
    transfers: tuple[Transfer, ...]
    explanation: dict[str, Any] | None

    @property
    def request_id(self) -> str:
        """What the header `x-request-id` of the answer said."""
        return f"req_{self.id.hex}"

    @property
    def outcome_words(self) -> str:
        return endings.words(self.outcome)

    @property
    def tone(self) -> str:
        return endings.tone(self.outcome, success=self.success)

    @property
    def refunded_nanos(self) -> int:
        return sum(one.amount_nanos for one in self.transfers if one.kind == Transfer.Kind.REFUND)

    @property
    def paid_nanos(self) -> int:
        """What the customer paid in the end."""
        return self.cost_nanos - self.refunded_nanos

    @property
    def net_left_nanos(self) -> int:
        """The hoster's part of what was paid in the end."""
        return self.net_nanos - self._came_back(NET_BACK)

    @property
    def fee_left_nanos(self) -> int:
        """The platform's part of what was paid in the end."""
        return self.fee_nanos - self._came_back(FEE_BACK)

    def _came_back(self, tag: int) -> int:
        return sum(one.amount_nanos for one in self.transfers if one.pk.bytes[-1] == tag)


def of(customer: Customer, request_id: uuid.UUID) -> Receipt | None:
    """The receipt of one request of this customer; None when there is none (or it still runs). Three reads by id."""
    found = (
        customer.inferencerequest_set.select_related("key", "server__hoster").filter(pk=request_id).first()
    )
    if found is None:
        return None
    charge = Charge.objects.get(pk=request_id)
    last = uuid.UUID(int=request_id.int | TAGS)
    return _receipt(
        found,
        charge,
        tuple(Transfer.objects.filter(pk__gte=request_id, pk__lte=last).order_by("created_at", "pk")),
    )


def parse(text: str) -> uuid.UUID | None:
    """An id as people have it: a UUID, the header `x-request-id`, or the `id` of an answer; None for anything else."""
    named = NAMED.fullmatch(text.strip().replace("-", "") if text.count("-") == 4 else text.strip())
    return uuid.UUID(named[1]) if named else None


def _receipt(found: InferenceRequest, charge: Charge, transfers: tuple[Transfer, ...]) -> Receipt:
    quote = (charge.quote or 0) - 1
    price_in, price_out = (charge.price_in[quote], charge.price_out[quote]) if quote >= 0 else (0, 0)
    server = found.server
    explanation = found.explanation
    return Receipt(
        id=found.pk,
        created_at=found.created_at,
        key_id=found.key_id,
        key_name=found.key.name,
        model_asked=found.model_asked,
        model=found.model_id,
        endpoint=found.endpoint,
        streamed=found.streamed,
        outcome=found.outcome,
        success=found.success,
        attempts=found.attempts,
        provider=found.provider,
        server_id=found.server_id,
        server=server.name if server else "",
        hoster=server.hoster.name if server and server.hoster else "",
        ttft_ms=found.ttft_ms if found.streamed else None,
        latency_ms=found.latency_ms,
        input=Side(found.claimed_input_tokens, found.input_tokens, price_in),
        output=Side(found.claimed_output_tokens, found.output_tokens, price_out),
        hold_nanos=charge.hold_nanos,
        cost_nanos=charge.gross_nanos or 0,
        fee_nanos=charge.fee_nanos or 0,
        net_nanos=charge.net_nanos or 0,
        fee_bps=charge.fee_bps,
        settled_at=charge.settled_at,
        matures_at=charge.matures_at,
        transfers=transfers,
        explanation=None
        if explanation is None
        else {name: value for name, value in explanation.items() if name != NOT_SHOWN},
    )


def models_of(requests: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """The model that each of these requests was for, by the primary key; without those that are not there."""
    found = InferenceRequest.objects.filter(pk__in=requests).values_list("pk", "model_id")
    return dict(found)
