"""What became of each request, and its hourly sums. Money is in `billing.Charge` under the same id."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class GatewayProcess(models.Model):
    """A web process that may hold money; when its heartbeat stops, its holds are voided."""

    boot = models.UUIDField(primary_key=True)
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "gateway processes"

    def __str__(self) -> str:
        return str(self.boot)


class InferenceRequest(models.Model):
    """One request that reached a server (or tried to): who, which, how long, how it ended. No prompt, no answer."""

    class Outcome(models.TextChoices):
        FINISHED = "finished", "finished"
        HUNG_UP = "hung_up", "the client hung up"
        CAPPED = "capped", "cut at our limit"
        UPSTREAM_FAILED = "upstream_failed", "the server failed"
        NO_SERVER = "no_server", "no server could serve it"
        REFUSED = "refused", "the server refused the request"
        ABANDONED = "abandoned", "the client hung up before the answer began"
        PLATFORM_FAULT = "platform_fault", "our fault"

    id = models.UUIDField(primary_key=True)
    created_at = models.DateTimeField()
    customer = models.ForeignKey("accounts.Customer", models.PROTECT)
    key = models.ForeignKey("accounts.ApiKey", models.PROTECT)
    model_asked = models.CharField(max_length=200)
    model_id = models.CharField(max_length=200)
    provider = models.CharField(max_length=6, help_text="local, hoster or cloud; empty when nobody served")
    server = models.ForeignKey("hosting.Server", models.PROTECT, null=True)
    endpoint = models.CharField(max_length=16)
    streamed = models.BooleanField()
    outcome = models.CharField(max_length=16, choices=Outcome)
    success = models.BooleanField()
    attempts = models.SmallIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    claimed_input_tokens = models.BigIntegerField(null=True)
    claimed_output_tokens = models.BigIntegerField(null=True)
    input_bytes = models.BigIntegerField()
    output_bytes = models.BigIntegerField()
    cost_nanos = models.BigIntegerField()
    ttft_ms = models.IntegerField(null=True)
    latency_ms = models.IntegerField()
    flags = models.SmallIntegerField(
        default=0, help_text="what looked wrong with the answer: routing.suspicion"
    )
    explanation = models.JSONField(null=True, help_text="why this server: of failures, and of a sample")

    class Meta:
        managed = False  # migration 0002: partitioned by month
        db_table = "routing_inferencerequest"

    def __str__(self) -> str:
        return str(self.id)


class UsageHour(models.Model):
    """A customer's requests of one hour, by key, model and provider: what /v1/usage reads."""

    customer = models.ForeignKey("accounts.Customer", models.PROTECT)
    key = models.ForeignKey("accounts.ApiKey", models.PROTECT)
    model_id = models.CharField(max_length=200)
    provider = models.CharField(max_length=6)
    hour = models.DateTimeField()
    requests = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    gross_nanos = models.BigIntegerField(default=0)
    fee_nanos = models.BigIntegerField(default=0)
    net_nanos = models.BigIntegerField(default=0)
    latency_ms_sum = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="routing_usagehour_once", fields=["customer", "hour", "key", "model_id", "provider"]
            ),
        ]
        indexes = [models.Index(name="routing_usagehour_by_hour", fields=["hour"])]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.model_id} {self.hour}"


class OfferHour(models.Model):
    """A server's requests of one hour, by model: what /v1/earnings and the learning of token sizes read."""

    server = models.ForeignKey("hosting.Server", models.PROTECT)
    model_id = models.CharField(max_length=200)
    hour = models.DateTimeField()
    requests = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    gross_nanos = models.BigIntegerField(default=0)
    fee_nanos = models.BigIntegerField(default=0)
    net_nanos = models.BigIntegerField(default=0)
    latency_ms_sum = models.BigIntegerField(default=0)
    claims = models.BigIntegerField(default=0, help_text="requests whose server stated its token count")
    claimed_output_tokens = models.BigIntegerField(default=0)
    claimed_output_bytes = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="routing_offerhour_once", fields=["server", "hour", "model_id"]),
        ]

    def __str__(self) -> str:
        return f"{self.server_id} {self.model_id} {self.hour}"


class PayerDay(models.Model):
    """What one customer sent to one server in a day: whether many different people use it. Trust reads it."""

    server = models.ForeignKey("hosting.Server", models.PROTECT)
    customer = models.ForeignKey("accounts.Customer", models.PROTECT)
    day = models.DateField()
    requests = models.BigIntegerField(default=0)
    gross_nanos = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="routing_payerday_once", fields=["server", "day", "customer"]),
        ]

    def __str__(self) -> str:
        return f"{self.server_id} {self.customer_id} {self.day}"


class OutcomeHour(models.Model):
    """How the requests of all customers ended in one hour: what the public status page reads."""

    hour = models.DateTimeField(primary_key=True)
    served = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0, help_text="by us or by every server that was tried")
    counted_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.hour)


class AuditRun(models.Model):
    """What one run of the audit found. Kept for a month."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(db_default=Now())
    differences = models.IntegerField(help_text="rows that break an invariant; 0: the books are sound")
    found = ArrayField(models.TextField(), help_text="the first of them, in words")
    sums = models.JSONField(default=dict, help_text="nanodollars by kind of ledger account; together zero")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="routing_auditrun_not_negative", condition=models.Q(differences__gte=0)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.finished_at:%Y-%m-%d %H:%M}: {self.differences} differences"
