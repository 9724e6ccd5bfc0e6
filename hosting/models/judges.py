"""What was seen of servers, what they were asked, and what was done to their hosters: how they keep their word."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from hosting.models.market import HostedModel, Hoster, Server


class HealthCheck(models.Model):
    """One look at a server from outside. What is excused (a token just rotated) moves no score."""

    server = models.ForeignKey(Server, models.CASCADE, related_name="health_checks")
    checked_at = models.DateTimeField(db_default=Now())
    ok = models.BooleanField()
    excused = models.BooleanField(default=False, db_default=False)
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
    output_tokens = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [models.UniqueConstraint(name="hosting_serverminute_once", fields=["server", "minute"])]
        indexes = [models.Index(name="hosting_serverminute_recent", fields=["minute"])]

    def __str__(self) -> str:
        return f"{self.server_id} {self.minute}"


class Circuit(models.Model):
    """A server that failed three times in a row, as every gateway process must know: nothing goes to it until then."""

    server = models.OneToOneField(Server, models.CASCADE, primary_key=True)
    open_until = models.DateTimeField(help_text="in the past: closed again")
    openings = models.IntegerField(help_text="in a row; each doubles the pause")
    changed_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.server_id} until {self.open_until}"


class Question(models.Model):
    """A factual question of the bank that servers are tested with."""

    class Kind(models.TextChoices):
        TEXT = "text"
        NUMBER = "number"

    slug = models.SlugField(max_length=80, unique=True)
    topic = models.CharField(max_length=20)
    kind = models.CharField(max_length=6, choices=Kind, default=Kind.TEXT)
    wordings = ArrayField(models.TextField(), help_text="ways to ask, one is drawn")
    answers = ArrayField(models.CharField(max_length=200), help_text="every one that is right")
    enabled = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.slug


class ConsistencyAnswer(models.Model):
    """What a model on a server answered to a question of the bank. Wrong ones are kept, as evidence."""

    offer = models.ForeignKey(HostedModel, models.CASCADE, related_name="consistency_answers")
    question = models.ForeignKey(Question, models.PROTECT)
    answered_at = models.DateTimeField(db_default=Now())
    right = models.BooleanField()
    counted = models.BooleanField(help_text="false: no answer came, or the question itself is doubtful")
    answer = models.TextField(blank=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        indexes = [
            models.Index(name="hosting_consistencyanswer_last", fields=["offer", "-answered_at"]),
            models.Index(name="hosting_consistencyanswer_of", fields=["question", "-answered_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.offer_id} {self.question_id} {'right' if self.right else 'wrong'}"


class ModerationAction(models.Model):
    """Something that was done to a hoster, or told to it: who, when, why, on what evidence; and its answer."""

    class Kind(models.TextChoices):
        NOTICE = "notice", "told"
        WARN = "warn", "warned"
        PROBATION = "probation", "put on probation"
        SUSPEND = "suspend", "suspended"
        DEACTIVATE = "deactivate", "deactivated"
        REINSTATE = "reinstate", "reinstated"

    hoster = models.ForeignKey(Hoster, models.PROTECT, related_name="actions")
    server = models.ForeignKey(Server, models.PROTECT, null=True, blank=True)
    offer = models.ForeignKey(HostedModel, models.PROTECT, null=True, blank=True)
    kind = models.CharField(max_length=10, choices=Kind)
    rule = models.SlugField(
        max_length=40, blank=True, help_text="the published rule; empty when a person decided"
    )
    reason = models.TextField(help_text="what the hoster reads")
    evidence = models.JSONField(
        default=dict, blank=True, help_text="figures and ids; no prompt, no answer of a customer"
    )
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True)
    status_before = models.CharField(max_length=11)
    status_after = models.CharField(max_length=11)
    created_at = models.DateTimeField(db_default=Now())
    answer = models.TextField(blank=True, help_text="what the hoster says to it")
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(name="hosting_moderationaction_last", fields=["hoster", "-created_at"])]
        constraints = [
            models.CheckConstraint(name="hosting_moderationaction_says_why", condition=~Q(reason="")),
            models.CheckConstraint(
                name="hosting_moderationaction_says_who",
                condition=Q(actor__isnull=False, rule="") | (Q(actor__isnull=True) & ~Q(rule="")),
            ),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()
