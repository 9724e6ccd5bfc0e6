"""The public form of money and moments, and of what `billing.api` takes and gives.

Nanodollars become dollars (`…_usd`, a JSON number) or microdollars here and nowhere else.
"""

import datetime as dt
import re
import uuid
from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing import money
from billing.disputes import DETAIL_CHARS_MAX
from billing.models import Dispute, Payout, PayoutDestination
from billing.payouts import DESTINATION_CHARS_MAX

PAGE_ROWS_MAX = 100
REQUEST_ID = re.compile(r"(?:req_|chatcmpl-|cmpl-)?([0-9a-f]{32})")


@extend_schema_field(OpenApiTypes.DOUBLE)
class Usd(serializers.Field):
    def to_representation(self, value: int) -> float:
        return money.usd(value)


@extend_schema_field(OpenApiTypes.INT64)
class Microdollars(serializers.Field):
    def to_representation(self, value: int) -> int:
        return money.microdollars(value)


@extend_schema_field(OpenApiTypes.DATETIME)
class Moment(serializers.Field):
    """ISO 8601 in UTC, ending in `+00:00`."""

    def to_representation(self, value: dt.datetime) -> str:
        return value.astimezone(dt.UTC).isoformat()


@extend_schema_field(OpenApiTypes.DOUBLE)
class UsdInput(serializers.DecimalField):
    """Dollars as a JSON number or text; nanodollars inside."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=18, decimal_places=9, **options)

    def to_internal_value(self, data: Any) -> int:  # type: ignore[override]  # nanodollars, not Decimal
        value: Decimal = super().to_internal_value(data)
        return money.nanos(value)


@extend_schema_field(OpenApiTypes.STR)
class RequestId(serializers.Field):
    """A request by its UUID, by its answer's `id` or by its `x-request-id`."""

    def to_internal_value(self, data: Any) -> uuid.UUID:
        found = REQUEST_ID.fullmatch(
            str(data).replace("-", "", 4) if str(data).count("-") == 4 else str(data)
        )
        if found is None:
            raise serializers.ValidationError("must be the id of a request, as GET /v1/requests shows it.")
        return uuid.UUID(found[1])

    def to_representation(self, value: uuid.UUID) -> str:
        return str(value)


class Page(serializers.Serializer[Any]):
    """?limit=&before=; before: the id of the last row of the page before."""

    limit = serializers.IntegerField(default=20, min_value=1, max_value=PAGE_ROWS_MAX)
    before = serializers.UUIDField(required=False)


class DisputeInput(serializers.Serializer[Any]):
    request_id = RequestId(source="charge")
    reason = serializers.ChoiceField(
        choices=Dispute.Reason.choices,
        error_messages={"invalid_choice": f"must be one of {', '.join(Dispute.Reason.values)}."},
    )
    detail = serializers.CharField(default="", allow_blank=True, max_length=DETAIL_CHARS_MAX)


class DisputeOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    request_id = RequestId(source="charge")
    reason = serializers.CharField()
    detail = serializers.CharField()
    state = serializers.ChoiceField(choices=Dispute.State.values)
    amount_usd = Usd(source="gross_nanos", help_text="what comes back when it is upheld")
    opened_at = Moment()
    decided_at = Moment(allow_null=True)
    verdict = serializers.CharField(help_text="why it was decided so; empty while it is open")


class DisputeList(serializers.Serializer[Any]):
    disputes = DisputeOutput(many=True)


class PayoutInput(serializers.Serializer[Any]):
    amount_usd = UsdInput(source="amount_nanos")
    method = serializers.ChoiceField(
        choices=PayoutDestination.Method.choices,
        error_messages={"invalid_choice": f"must be one of {', '.join(PayoutDestination.Method.values)}."},
    )
    destination = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=DESTINATION_CHARS_MAX,
        help_text="where it goes: needed the first time, kept (encrypted) for the next",
    )


class PayoutOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    amount_usd = Usd(source="amount_nanos")
    method = serializers.CharField()
    state = serializers.ChoiceField(choices=Payout.State.values)
    requested_at = Moment()
    due_on = serializers.DateField(help_text="processed by then: within 5 business days")
    waits_for = serializers.CharField(help_text="why a person looks at it first")
    closed_at = Moment(allow_null=True)
    reason = serializers.CharField(help_text="why it ended so")
    reference = serializers.CharField(allow_null=True)


class PayoutList(serializers.Serializer[Any]):
    available_usd = Usd(source="available_nanos", help_text="what can be paid out now")
    minimum_usd = Usd(source="minimum_nanos")
    payouts = PayoutOutput(many=True)
