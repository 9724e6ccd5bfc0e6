"""GET /v1/models and /v1/models/{id}: the market, in OpenAI's shape and with prices and scores."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import envelope
from accounts.api import Endpoint
from accounts.envelope import ApiError
from hosting import market


class PriceRange(serializers.Serializer[Any]):
    min = serializers.IntegerField(allow_null=True)
    max = serializers.IntegerField(allow_null=True)


class Pricing(serializers.Serializer[Any]):
    input = PriceRange()
    output = PriceRange()


class MeasuresShape(serializers.Serializer[Any]):
    """Of the last day; null when nothing was measured. Of a model: each of whichever server is best at it."""

    context_window = serializers.IntegerField(help_text="tokens")
    ttft_ms_p50 = serializers.IntegerField(allow_null=True, help_text="to the first token, of streams")
    ttft_ms_p95 = serializers.IntegerField(allow_null=True)
    latency_ms_p50 = serializers.IntegerField(allow_null=True, help_text="of whole answers")
    latency_ms_p95 = serializers.IntegerField(allow_null=True)
    tokens_per_s = serializers.FloatField(allow_null=True, help_text="after the first token; the median")
    uptime = serializers.FloatField(allow_null=True, help_text="share of the day's health checks that passed")
    health = serializers.FloatField(help_text="0…1")
    trust = serializers.FloatField(help_text="0…1")
    consistency = serializers.FloatField(allow_null=True, help_text="0…1; null before the first test")
    status = serializers.CharField(help_text="active, warned or probation")


class NamedShape(serializers.Serializer[Any]):
    """Prices are nanodollars per token (100 = 0.10 USD per 1M tokens); `auto` has none of its own."""

    id = serializers.CharField()
    object = serializers.CharField(default="model")
    created = serializers.IntegerField(help_text="seconds since 1970")
    owned_by = serializers.CharField(help_text="neuralgate, or hoster:<name> of the cheapest server")
    price_per_input_token = serializers.IntegerField(allow_null=True)
    price_per_output_token = serializers.IntegerField(allow_null=True)
    pricing = Pricing()


class ModelShape(NamedShape, MeasuresShape):
    __doc__ = NamedShape.__doc__
    servers = serializers.IntegerField(help_text="how many servers sell it now")


class OfferedShape(serializers.Serializer[Any]):
    owner = serializers.CharField()
    kind = serializers.CharField(help_text="local, hoster or cloud")
    price_per_input_token = serializers.IntegerField()
    price_per_output_token = serializers.IntegerField()
    next_price_per_input_token = serializers.IntegerField(allow_null=True)
    next_price_per_output_token = serializers.IntegerField(allow_null=True)
    price_changes_at = serializers.DateTimeField(
        allow_null=True, help_text="when the next price comes; null when none waits"
    )


class ServerShape(OfferedShape, MeasuresShape):
    """A model on one server."""


class ModelDetailShape(ModelShape):
    servers = ServerShape(many=True, source="offers")  # type: ignore[assignment]  # the stubs take it for one shape


class ModelListShape(serializers.Serializer[Any]):
    object = serializers.CharField()
    data = ModelShape(many=True)  # type: ignore[assignment]  # OpenAI's name; DRF takes it for a field


class Models(Endpoint):
    @extend_schema(operation_id="models", responses=ModelListShape)
    def get(self, request: Request) -> Response:
        """Every model that can be called now, `auto` first."""
        return Response(ModelListShape({"object": "list", "data": market.listings()}).data)


class Model(Endpoint):
    @extend_schema(operation_id="model", responses=ModelDetailShape)
    def get(self, request: Request, model_id: str) -> Response:
        """One model with its servers, the cheapest first."""
        found = market.listing(model_id)
        if found is None:
            raise ApiError(envelope.MODEL_NOT_FOUND)
        return Response(ModelDetailShape(found).data)
