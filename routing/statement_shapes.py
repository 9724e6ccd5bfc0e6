"""The public form of monthly statements: /v1/statements and /v1/statements/{month}."""

from typing import Any

from rest_framework import serializers

from billing.shapes import Moment, Usd


class MonthSums(serializers.Serializer[Any]):
    month = serializers.CharField(help_text="a calendar month in UTC, `2026-10`")
    until = Moment(help_text="the end of the month, or now")
    opening_balance_usd = Usd(source="opening.posted_nanos")
    received_usd = Usd(source="received_nanos")
    sent_usd = Usd(source="sent_nanos")
    closing_balance_usd = Usd(source="closing.posted_nanos")


class Statements(serializers.Serializer[Any]):
    statements = MonthSums(many=True)


class BalanceParts(serializers.Serializer[Any]):
    """total = promotional + bought + earned"""

    total_usd = Usd(source="posted_nanos")
    promotional_usd = Usd(source="promotional_nanos")
    bought_usd = Usd(source="bought_nanos")
    earned_usd = Usd(source="earned_nanos")


class Amount(serializers.Serializer[Any]):
    """As a balance's parts; negative when it went out."""

    total_usd = Usd(source="nanos")
    promotional_usd = Usd(source="promotional_nanos")
    bought_usd = Usd(source="bought_nanos")
    earned_usd = Usd(source="earned_nanos")


KINDS = "request, release, grant, sale, refund, dispute_upheld, payout, return or clawback"


class Kind(serializers.CharField):
    def to_representation(self, value: str) -> str:
        return "dispute_upheld" if value == "refund upheld" else value


class Total(serializers.Serializer[Any]):
    kind = Kind(help_text=KINDS)
    count = serializers.IntegerField()
    amount = Amount()


class RequestsOfMonth(serializers.Serializer[Any]):
    """One day's requests of one model; model null: of all, when they would be more than 500 rows."""

    date = serializers.DateField(source="day")
    model = serializers.CharField(source="model_id", allow_null=True)
    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost_usd = Usd(source="gross_nanos")


class Releases(serializers.Serializer[Any]):
    date = serializers.DateField(source="day")
    releases = serializers.IntegerField()
    amount = Amount()


class Booking(serializers.Serializer[Any]):
    at = Moment()
    kind = Kind(help_text=KINDS)
    request_id = serializers.UUIDField(source="charge", allow_null=True)
    reason = serializers.CharField()
    amount = Amount()


class Statement(serializers.Serializer[Any]):
    month = serializers.CharField()
    until = Moment(help_text="the end of the month, or now")
    opening_balance = BalanceParts(source="opening")
    totals = Total(many=True, help_text="opening balance + their amounts = closing balance, and so each part")
    closing_balance = BalanceParts(source="closing")
    requests = RequestsOfMonth(many=True)
    releases = Releases(many=True)
    bookings = Booking(source="lines", many=True, help_text="everything else, one by one; the first 1,000")
    bookings_all = serializers.IntegerField(source="lines_all")
