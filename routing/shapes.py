"""The public form of what `usage` and `earnings` read: field names and units of the API reference."""

import dataclasses
from typing import Any

from rest_framework import serializers

from billing.models import Transfer
from billing.shapes import Microdollars, Moment, Usd
from routing import history, periods, receipts
from routing.models import InferenceRequest


class Days(serializers.Serializer[Any]):
    """?days="""

    days = serializers.IntegerField(
        default=periods.DAYS_DEFAULT,
        min_value=1,
        max_value=periods.DAYS_MAX,
        help_text="calendar days in UTC, today included",
        error_messages=dict.fromkeys(
            ("invalid", "min_value", "max_value", "max_string_length", "null"),
            f"must be a whole number from 1 to {periods.DAYS_MAX}.",
        ),
    )


class DaysAndInterval(Days):
    """?days=&interval="""

    interval = serializers.ChoiceField(
        choices=periods.INTERVALS,
        default="day",
        error_messages=dict.fromkeys(
            ("invalid_choice", "null"), f"must be one of {', '.join(periods.INTERVALS)}."
        ),
    )


class RateLimits(serializers.Serializer[Any]):
    requests_this_minute = serializers.IntegerField()
    requests_today = serializers.IntegerField()
    limit_per_minute = serializers.IntegerField(allow_null=True)
    limit_per_day = serializers.IntegerField(allow_null=True)
    remaining_this_minute = serializers.IntegerField(allow_null=True)
    remaining_today = serializers.IntegerField(allow_null=True)


class Usage30d(serializers.Serializer[Any]):
    total_requests = serializers.IntegerField(source="requests")
    total_input_tokens = serializers.IntegerField(source="input_tokens")
    total_output_tokens = serializers.IntegerField(source="output_tokens")
    total_cost_microdollars = Microdollars(source="gross_nanos")
    avg_latency_ms = serializers.IntegerField()


class Usage(serializers.Serializer[Any]):
    customer = serializers.EmailField()
    tier = serializers.CharField()
    credit_balance_usd = Usd(source="standing.spendable_nanos", help_text="your spendable balance")
    rate_limits = RateLimits(source="standing")
    usage_30d = Usage30d(source="totals")


class TokenTotals(serializers.Serializer[Any]):
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost_usd = Usd(source="gross_nanos")
    requests = serializers.IntegerField()


class TokenPeriod(serializers.Serializer[Any]):
    period = Moment()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost_usd = Usd(source="gross_nanos")
    requests = serializers.IntegerField()
    local_requests = serializers.IntegerField()
    hoster_requests = serializers.IntegerField()
    cloud_requests = serializers.IntegerField()
    avg_latency_ms = serializers.IntegerField()


class Tokens(serializers.Serializer[Any]):
    period_days = serializers.IntegerField()
    interval = serializers.ChoiceField(choices=periods.INTERVALS)
    totals = TokenTotals()
    timeseries = TokenPeriod(many=True)


class UsageOfModel(serializers.Serializer[Any]):
    model_id = serializers.CharField()
    provider = serializers.CharField(help_text="local, hoster or cloud")
    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    total_cost_usd = Usd(source="gross_nanos")
    platform_fee_usd = Usd(source="fee_nanos")
    hoster_earned_usd = Usd(source="net_nanos")
    avg_latency_ms = serializers.IntegerField()


class UsageOfDay(serializers.Serializer[Any]):
    date = serializers.DateField()
    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    total_cost_usd = Usd(source="gross_nanos")


class Breakdown(serializers.Serializer[Any]):
    by_model = UsageOfModel(many=True)
    daily = UsageOfDay(many=True)


class EarningsOfDay(serializers.Serializer[Any]):
    date = serializers.DateField()
    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    gross_usd = Usd(source="gross_nanos")
    platform_fee_usd = Usd(source="fee_nanos")
    earned_usd = Usd(source="net_nanos")


class EarningsOfModel(serializers.Serializer[Any]):
    model_id = serializers.CharField()
    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    gross_usd = Usd(source="gross_nanos")
    platform_fee_usd = Usd(source="fee_nanos")
    earned_usd = Usd(source="net_nanos")
    avg_latency_ms = serializers.IntegerField()


class LifetimeEarnings(serializers.Serializer[Any]):
    """earned = pending + frozen + available + spent + in_payout + paid_out + reversed + kept_back, exactly."""

    earned_usd = Usd(source="earned_nanos")
    pending_usd = Usd(source="pending_nanos")
    frozen_usd = Usd(source="frozen_nanos")
    available_usd = Usd(source="available_nanos", help_text="released and still there")
    spent_usd = Usd(source="spent_nanos")
    in_payout_usd = Usd(source="in_payout_nanos")
    paid_out_usd = Usd(source="paid_out_nanos")
    reversed_usd = Usd(source="reversed_nanos")
    kept_back_usd = Usd(source="kept_back_nanos", help_text="paid back of what had been released")
    owed_usd = Usd(source="owed_nanos", help_text="later earnings pay it first")


class Earnings(serializers.Serializer[Any]):
    hoster = serializers.CharField(source="statement.hoster", allow_null=True)
    period_days = serializers.IntegerField()
    total_earned_usd = Usd(source="statement.total_earned_nanos")
    reversed_usd = Usd(source="statement.reversed_nanos", help_text="taken back of earnings, in the period")
    pending_usd = Usd(source="statement.pending_nanos", help_text="waits for its 24 hours")
    frozen_usd = Usd(source="statement.lifetime.frozen_nanos", help_text="waits for the verdict of a dispute")
    available_usd = Usd(
        source="statement.available_nanos", help_text="what the linked customer can spend now"
    )
    paid_out_usd = Usd(source="statement.lifetime.paid_out_nanos")
    next_release_at = Moment(source="statement.next_release_at", allow_null=True)
    lifetime = LifetimeEarnings(source="statement.lifetime")
    daily = EarningsOfDay(many=True, source="statement.daily")
    by_model = EarningsOfModel(many=True, source="statement.by_model")


class EarningsByModel(serializers.Serializer[Any]):
    period_days = serializers.IntegerField()
    by_model = EarningsOfModel(many=True)


class RequestId(serializers.CharField):
    """A UUID, an `x-request-id` or the `id` of an answer; a `uuid.UUID` once it is validated."""

    def to_internal_value(self, data: Any) -> Any:
        found = receipts.parse(super().to_internal_value(data))
        if found is None:
            raise serializers.ValidationError("must be the id of a request.")
        return found


class RequestsAsked(serializers.Serializer[Any]):
    """?limit=&before=&key=&model=&outcome=&since=&until="""

    limit = serializers.IntegerField(default=history.ROWS_DEFAULT, min_value=1, max_value=history.ROWS_MAX)
    before = RequestId(default=None, help_text="only requests older than this one: `next_before` of a page")
    key = serializers.IntegerField(default=None, min_value=1, max_value=2**63 - 1, help_text="a key's `id`")
    model = serializers.CharField(default=None, max_length=200, help_text="asked or served")
    outcome = serializers.ChoiceField(choices=InferenceRequest.Outcome.values, default=None)
    since = serializers.DateField(default=None, help_text="the first day, in UTC")
    until = serializers.DateField(default=None, help_text="the last day, in UTC")

    def wanted(self) -> history.Filter:
        """The validated parameters as a filter."""
        asked = self.validated_data
        days = history.Filter.of_days(asked["since"], asked["until"])
        return dataclasses.replace(days, key=asked["key"], model=asked["model"], outcome=asked["outcome"])


class KeyNamed(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="key_id")
    name = serializers.CharField(source="key_name")


class RequestLine(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    created_at = Moment()
    key = KeyNamed(source="*")
    model_asked = serializers.CharField()
    model = serializers.CharField(help_text="that served")
    outcome = serializers.ChoiceField(choices=InferenceRequest.Outcome.values)
    success = serializers.BooleanField()
    provider = serializers.CharField(help_text="local, hoster or cloud; empty when nobody served")
    hoster = serializers.CharField(help_text="empty for the platform's own servers")
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost_usd = Usd(source="cost_nanos")
    refunded_usd = Usd(source="refunded_nanos", help_text="what came back of the cost")
    ttft_ms = serializers.IntegerField(allow_null=True, help_text="time to the first token of a stream")
    latency_ms = serializers.IntegerField()


class Requests(serializers.Serializer[Any]):
    requests = RequestLine(many=True, source="lines")
    next_before = serializers.UUIDField(
        allow_null=True, help_text="`before` of the next page; null at the end"
    )


class SideOfReceipt(serializers.Serializer[Any]):
    claimed_tokens = serializers.IntegerField(allow_null=True, help_text="what the server stated")
    billed_tokens = serializers.IntegerField()
    price_per_token = serializers.IntegerField(source="price_nanos", help_text="nanodollars")
    cost_usd = Usd(source="cost_nanos")


class TransferOfReceipt(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=Transfer.Kind.values)
    amount_usd = Usd(source="amount_nanos")
    created_at = Moment()
    reason = serializers.CharField()


class Receipt(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    request_id = serializers.CharField(help_text="the header `x-request-id` of the answer")
    created_at = Moment()
    key = KeyNamed(source="*")
    model_asked = serializers.CharField()
    model = serializers.CharField(help_text="that served")
    endpoint = serializers.CharField()
    streamed = serializers.BooleanField()
    outcome = serializers.ChoiceField(choices=InferenceRequest.Outcome.values)
    success = serializers.BooleanField()
    attempts = serializers.IntegerField(help_text="servers that were tried")
    provider = serializers.CharField(help_text="local, hoster or cloud; empty when nobody served")
    server = serializers.CharField(help_text="its name")
    hoster = serializers.CharField(help_text="empty for the platform's own servers")
    ttft_ms = serializers.IntegerField(allow_null=True, help_text="time to the first token of a stream")
    latency_ms = serializers.IntegerField()
    input = SideOfReceipt()
    output = SideOfReceipt()
    held_usd = Usd(source="hold_nanos", help_text="what was reserved while it ran")
    cost_usd = Usd(source="cost_nanos")
    platform_fee_usd = Usd(source="fee_nanos")
    hoster_earned_usd = Usd(source="net_nanos")
    refunded_usd = Usd(source="refunded_nanos")
    transfers = TransferOfReceipt(many=True)
    explanation = serializers.JSONField(
        allow_null=True, help_text="why this server; kept of failures and of one success in 64"
    )
