"""What is for sale: hosters, their servers, and the models on them."""

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
    trust_parts = models.JSONField(default=dict, editable=False)
    trust_at = models.DateTimeField(null=True, editable=False)
    trust_days = models.JSONField(
        default=dict, editable=False, help_text="the last score of each UTC day, by its date"
    )
    is_new = models.BooleanField(
        default=True,
        editable=False,
        help_text="has not served enough to be judged: gets the newcomers' share",
    )
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
    waiting_since = models.DateTimeField(
        null=True, editable=False, help_text="since when the server has not taken its new token yet"
    )
    slots = models.PositiveIntegerField(default=64)
    verified_at = models.DateTimeField(null=True, blank=True)
    verification_error = models.TextField(blank=True)
    setup = models.JSONField(
        null=True, editable=False, help_text="of a server that is being registered: hosting.setups"
    )
    draining = models.BooleanField(default=False)
    health = models.FloatField(default=1.0)
    health_checked_at = models.DateTimeField(null=True, editable=False)
    uptime = models.FloatField(
        null=True, editable=False, help_text="share of the last day's checks that passed"
    )
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
    """A model on a server and its price, in nanodollars per token. A new price waits until price_changes_at."""

    server = models.ForeignKey(Server, models.PROTECT, related_name="models")
    model_id = models.CharField(max_length=200, help_text="the public name, which customers ask for")
    upstream_name = models.CharField(
        max_length=200, blank=True, help_text="the server's own name, if it differs"
    )
    price_per_input_token = models.BigIntegerField()
    price_per_output_token = models.BigIntegerField()
    next_price_per_input_token = models.BigIntegerField(null=True, editable=False)
    next_price_per_output_token = models.BigIntegerField(null=True, editable=False)
    price_changes_at = models.DateTimeField(null=True, editable=False)
    context_window = models.PositiveIntegerField(default=8_192)
    chats = models.BooleanField(
        default=True,
        db_default=True,
        help_text="answers chat and completions; a model for embeddings does not",
    )
    enabled = models.BooleanField(default=True)
    bytes_per_token = models.FloatField(
        null=True, editable=False, help_text="delivered bytes per claimed token, of other owners' servers"
    )
    consistency = models.FloatField(default=1.0, editable=False)
    consistency_at = models.DateTimeField(null=True, editable=False)
    next_question_at = models.DateTimeField(null=True, editable=False)
    deactivated_at = models.DateTimeField(null=True, editable=False)
    deactivated_reason = models.TextField(blank=True, editable=False)
    retest_at = models.DateTimeField(
        null=True, editable=False, help_text="when its owner asked for a new test"
    )
    fingerprint = models.JSONField(
        default=dict, editable=False, help_text="what it looked like when it was checked"
    )
    ttft_ms_p50 = models.IntegerField(null=True, editable=False)
    ttft_ms_p95 = models.IntegerField(null=True, editable=False)
    latency_ms_p50 = models.IntegerField(null=True, editable=False)
    latency_ms_p95 = models.IntegerField(null=True, editable=False)
    tokens_per_s = models.FloatField(null=True, editable=False)
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
            models.CheckConstraint(
                name="hosting_hostedmodel_next_price",
                condition=Q(
                    price_changes_at__isnull=True,
                    next_price_per_input_token__isnull=True,
                    next_price_per_output_token__isnull=True,
                )
                | Q(
                    price_changes_at__isnull=False,
                    next_price_per_input_token__gte=0,
                    next_price_per_input_token__lte=PRICE_MAX,
                    next_price_per_output_token__gte=0,
                    next_price_per_output_token__lte=PRICE_MAX,
                ),
            ),
            models.CheckConstraint(
                name="hosting_hostedmodel_consistency_range",
                condition=Q(consistency__gte=0, consistency__lte=1),
            ),
        ]
        indexes = [models.Index(name="hosting_hostedmodel_by_name", fields=["model_id"])]

    def __str__(self) -> str:
        return self.model_id


class AutoModel(models.Model):
    """A model that `model="auto"` may draw from. While there is none, it draws from all below the price ceiling."""

    model_id = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.model_id
