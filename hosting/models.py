"""What is for sale: hosters, their servers, the models on them and what was seen of their health."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

PRICE_MAX = 10**9  # nanodollars per token; with TOKENS_MAX the product stays far below a BIGINT
TOKENS_MAX = 10**7


class Hoster(models.Model):
    """Who brings servers. Earnings flow into the linked customer's account."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        WARNED = "warned"
        PROBATION = "probation"
        SUSPENDED = "suspended"
        DEACTIVATED = "deactivated"

    customer = models.OneToOneField("accounts.Customer", models.PROTECT, related_name="hoster")
    name = models.CharField(max_length=80, unique=True)
    status = models.CharField(max_length=11, choices=Status, default=Status.ACTIVE)
    status_reason = models.TextField(blank=True)
    trust = models.FloatField(default=0.5)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="hosting_hoster_trust_range", condition=Q(trust__gte=0, trust__lte=1)
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Server(models.Model):
    """One OpenAI-compatible server: a hoster's, or the operator's own (local), or a vendor's (cloud).

    `version` is raised by a trigger whenever a change must act on the next request; the admission compares it.
    """

    class Kind(models.TextChoices):
        LOCAL = "local"
        HOSTER = "hoster"
        CLOUD = "cloud"

    kind = models.CharField(max_length=6, choices=Kind, default=Kind.HOSTER)
    hoster = models.ForeignKey(Hoster, models.PROTECT, null=True, blank=True, related_name="servers")
    name = models.CharField(max_length=80)
    base_url = models.CharField(
        max_length=500,
        help_text="a hoster's origin (http://host:port); a provider's full base URL (https://…/v1)",
    )
    token_encrypted = models.TextField(blank=True)
    token_version = models.IntegerField(default=1)
    slots = models.PositiveIntegerField(default=64)
    verified_at = models.DateTimeField(null=True, blank=True)
    verification_error = models.TextField(blank=True)
    draining = models.BooleanField(default=False)
    health = models.FloatField(default=1.0)
    health_checked_at = models.DateTimeField(null=True, editable=False)
    version = models.BigIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="hosting_server_owner",
                condition=Q(kind="hoster", hoster__isnull=False)
                | (~Q(kind="hoster") & Q(hoster__isnull=True)),
            ),
            models.CheckConstraint(name="hosting_server_slots", condition=Q(slots__gte=1, slots__lte=10_000)),
            models.CheckConstraint(
                name="hosting_server_health_range", condition=Q(health__gte=0, health__lte=1)
            ),
            models.UniqueConstraint(name="hosting_server_address_once", fields=["base_url", "kind"]),
        ]

    def __str__(self) -> str:
        return self.name


class HostedModel(models.Model):
    """A model on a server and its price, in nanodollars per token."""

    server = models.ForeignKey(Server, models.PROTECT, related_name="models")
    model_id = models.CharField(max_length=200, help_text="the public name, which customers ask for")
    upstream_name = models.CharField(
        max_length=200, blank=True, help_text="the server's own name, if it differs"
    )
    price_per_input_token = models.BigIntegerField()
    price_per_output_token = models.BigIntegerField()
    context_window = models.PositiveIntegerField(default=8_192)
    enabled = models.BooleanField(default=True)
    bytes_per_token = models.FloatField(
        null=True, editable=False, help_text="delivered bytes per claimed token, of other owners' servers"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="hosting_hostedmodel_once", fields=["server", "model_id"]),
            models.CheckConstraint(
                name="hosting_hostedmodel_price_range",
                condition=Q(
                    price_per_input_token__gte=0,
                    price_per_input_token__lte=PRICE_MAX,
                    price_per_output_token__gte=0,
                    price_per_output_token__lte=PRICE_MAX,
                ),
            ),
            models.CheckConstraint(
                name="hosting_hostedmodel_context_range",
                condition=Q(context_window__gte=1, context_window__lte=TOKENS_MAX),
            ),
        ]
        indexes = [models.Index(name="hosting_hostedmodel_by_name", fields=["model_id"])]

    def __str__(self) -> str:
        return self.model_id


class HealthCheck(models.Model):
    """One look at a server from outside."""

    server = models.ForeignKey(Server, models.CASCADE, related_name="health_checks")
    checked_at = models.DateTimeField(db_default=Now())
    ok = models.BooleanField()
    latency_ms = models.IntegerField()
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes = [models.Index(fields=["server", "-checked_at"], name="hosting_healthcheck_latest")]

    def __str__(self) -> str:
        return f"{self.server_id} {'ok' if self.ok else self.error}"


class ServerMinute(models.Model):
    """What requests saw of a server in one minute: written by the settle trip, read by health and trust."""

    server = models.ForeignKey(Server, models.PROTECT)
    minute = models.DateTimeField()
    served = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    ttft_ms_sum = models.BigIntegerField(default=0)
    latency_ms_sum = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(name="hosting_serverminute_once", fields=["server", "minute"])]

    def __str__(self) -> str:
        return f"{self.server_id} {self.minute}"
