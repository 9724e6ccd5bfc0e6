"""The public form of what `usage` and `earnings` read: field names and units of the API reference."""

from typing import Any

from rest_framework import serializers

from billing.shapes import Microdollars, Moment, Usd
from routing import periods


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
