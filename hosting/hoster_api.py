"""Registering and checking servers through the API, with the key of whoever will earn from them."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import envelope
from accounts.api import Endpoint
from accounts.envelope import ApiError
from hosting import checking, prices, registration, standing
from hosting.addresses import AddressRefused
from hosting.checking import CheckRuns
from hosting.models import PRICE_MAX, HostedModel, Server
from hosting.registration import RegistrationRefused
from hosting.terms import ModelTerms, TermsRefused


class TermsShape(serializers.Serializer[Any]):
    """A model on the server. Prices are nanodollars per token (100 = 0.10 USD per 1M tokens)."""

    id = serializers.CharField(max_length=200)
    price_per_input_token = serializers.IntegerField(min_value=0, max_value=PRICE_MAX)
    price_per_output_token = serializers.IntegerField(min_value=0, max_value=PRICE_MAX)
    context_window = serializers.IntegerField(min_value=1, default=settings.CONTEXT_WINDOW_DEFAULT)
    upstream_name = serializers.CharField(max_length=200, default="", allow_blank=True)


class RegisterShape(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=80)
    base_url = serializers.CharField(max_length=500)
    models = TermsShape(many=True, allow_empty=False)
    slots = serializers.IntegerField(min_value=1, required=False)
    server_token = serializers.CharField(required=False)


class RegisteredShape(serializers.Serializer[Any]):
    """The key and the token are shown this once."""

    hoster_id = serializers.IntegerField()
    server_id = serializers.IntegerField()
    base_url = serializers.CharField()
    api_key = serializers.CharField()
    server_token = serializers.CharField()
    verified = serializers.BooleanField()


class CheckedShape(serializers.Serializer[Any]):
    verified = serializers.BooleanField()
    problems = serializers.ListField(child=serializers.CharField())


class TokenShape(serializers.Serializer[Any]):
    """Shown this once. No request carries the old one any more."""

    server_token = serializers.CharField()


class PriceShape(serializers.Serializer[Any]):
    """Nanodollars per token (100 = 0.10 USD per 1M tokens)."""

    price_per_input_token = serializers.IntegerField(min_value=0, max_value=PRICE_MAX)
    price_per_output_token = serializers.IntegerField(min_value=0, max_value=PRICE_MAX)


class PricedShape(PriceShape):
    """The price now, and the one that waits until `price_changes_at` (null when none does)."""

    id = serializers.CharField(source="model_id")
    next_price_per_input_token = serializers.IntegerField(allow_null=True)
    next_price_per_output_token = serializers.IntegerField(allow_null=True)
    price_changes_at = serializers.DateTimeField(allow_null=True)


class DrainShape(serializers.Serializer[Any]):
    """Without a body: all your servers drain."""

    draining = serializers.BooleanField(default=True, help_text="false: take traffic again")
    server_id = serializers.IntegerField(required=False, help_text="one server; all of yours when left out")


class DrainedServerShape(serializers.Serializer[Any]):
    server_id = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    draining = serializers.BooleanField()
    state = serializers.SerializerMethodField(help_text="how it stands with the router, in words")

    def get_state(self, server: Server) -> str:
        return standing.of_server(server).label


class DrainedShape(serializers.Serializer[Any]):
    servers = DrainedServerShape(many=True)


class Hosters(Endpoint):
    @extend_schema(operation_id="register_server", request=RegisterShape, responses={201: RegisteredShape})
    def post(self, request: Request) -> Response:
        """Register a server. It gets no traffic until its check passes."""
        asked = RegisterShape(data=request.data)
        asked.is_valid(raise_exception=True)
        fields = dict(asked.validated_data)
        models = [
            ModelTerms(
                model_id=model["id"],
                price_in=model["price_per_input_token"],
                price_out=model["price_per_output_token"],
                context_window=model["context_window"],
                upstream_name=model["upstream_name"],
            )
            for model in fields.pop("models")
        ]
        try:
            made = registration.register(
                user_email=request.auth.customer.user.email,  # type: ignore[union-attr]  # BearerKey sets it; the stubs allow None
                models=models,
                **fields,
            )
        except (RegistrationRefused, TermsRefused, AddressRefused) as refusal:
            raise ApiError(envelope.MALFORMED.because(str(refusal))) from None
        answer = {
            "hoster_id": made.hoster.pk,
            "server_id": made.server.pk,
            "base_url": made.server.base_url,
            "api_key": made.api_key,
            "server_token": made.server_token,
            "verified": False,
        }
        return Response(RegisteredShape(answer).data, status=status.HTTP_201_CREATED)


class ServerCheck(Endpoint):
    @extend_schema(operation_id="check_server", request=None, responses=CheckedShape)
    def post(self, request: Request, server_id: int) -> Response:
        """Check a server now; when it passes it gets traffic, else `problems` says what to do."""
        try:
            found = checking.check(_own(request, server_id))
        except CheckRuns as running:
            raise ApiError(envelope.RATE_LIMITED.because(str(running), retry_after_s=5)) from None
        return Response(CheckedShape({"verified": found.ok, "problems": list(found.errors)}).data)


class ServerToken(Endpoint):
    @extend_schema(operation_id="rotate_token", request=None, responses=TokenShape)
    def post(self, request: Request, server_id: int) -> Response:
        """Make a new token for a server; start it with that one straight away."""
        return Response(
            TokenShape({"server_token": registration.rotate_token(_own(request, server_id))}).data
        )


class Drain(Endpoint):
    @extend_schema(operation_id="drain", request=DrainShape, responses=DrainedShape)
    def post(self, request: Request) -> Response:
        """Stop new requests to your servers for maintenance, or take them up again. No score suffers."""
        asked = DrainShape(data=request.data)
        asked.is_valid(raise_exception=True)
        own = Server.objects.filter(hoster__customer=_customer_id(request))
        servers = own.select_related("hoster").prefetch_related("models").order_by("pk")
        if not servers:
            raise ApiError(
                envelope.NOT_FOUND.because("You host nothing yet. Register with POST /v1/hosters.")
            )
        if "server_id" in asked.validated_data:
            servers = servers.filter(pk=asked.validated_data["server_id"])
        if not servers:
            raise ApiError(envelope.NOT_FOUND.because("You have no server of this id.", param="server_id"))
        for server in servers:
            registration.set_draining(server, asked.validated_data["draining"])
        return Response(DrainedShape({"servers": servers.all()}).data)


class ModelPrice(Endpoint):
    @extend_schema(operation_id="set_price", request=PriceShape, responses=PricedShape)
    def post(self, request: Request, server_id: int, model_id: str) -> Response:
        """Set the price of a model on a server. It waits; the current price cancels one that waits."""
        model = HostedModel.objects.filter(server=_own(request, server_id), model_id=model_id).first()
        if model is None:
            raise ApiError(envelope.NOT_FOUND)
        asked = PriceShape(data=request.data)
        asked.is_valid(raise_exception=True)
        prices.set_price(
            model=model,
            price_in=asked.validated_data["price_per_input_token"],
            price_out=asked.validated_data["price_per_output_token"],
        )
        return Response(PricedShape(model).data)


def _customer_id(request: Request) -> int:
    return request.auth.customer_id  # type: ignore[union-attr]  # BearerKey sets it; the stubs allow None


def _own(request: Request, server_id: int) -> Server:
    server = Server.objects.filter(pk=server_id, hoster__customer=_customer_id(request)).first()
    if server is None:
        raise ApiError(envelope.NOT_FOUND)
    return server
