"""What moves money after a request, each a small state machine: disputes, payouts, top-ups; and what they need.

A state changes by one conditional UPDATE, whose row count says who won. Amounts are nanodollars.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from billing.models.books import LedgerAccount


class Dispute(models.Model):
    """A customer says that a charge is wrong; what the hoster earned by it is frozen until a person decides."""

    class Reason(models.TextChoices):
        WRONG_ANSWER = "wrong_answer", "the answer is nonsense or not of this model"
        INCOMPLETE = "incomplete", "the answer is cut off or empty"
        WRONG_TOKENS = "wrong_tokens", "too many tokens were counted"
        NOT_MINE = "not_mine", "I did not make this request"
        OTHER = "other", "something else"

    class State(models.TextChoices):
        OPEN = "open", "open"
        UPHELD = "upheld", "upheld: the charge was given back"
        REJECTED = "rejected", "rejected: the charge stands"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    charge = models.UUIDField(unique=True, help_text="the request")
    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="disputes")
    payee = models.ForeignKey(
        "accounts.Customer", models.PROTECT, null=True, related_name="disputes_against",
        help_text="whose earning is frozen; nobody's when the platform itself served",
    )  # fmt: skip
    reason = models.CharField(max_length=12, choices=Reason)
    detail = models.TextField(blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    gross_nanos = models.BigIntegerField(help_text="what the customer paid")
    net_nanos = models.BigIntegerField(help_text="what of it is frozen")
    opened_at = models.DateTimeField(db_default=Now())
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True)
    verdict = models.TextField(blank=True, help_text="why; both sides read it")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="billing_dispute_decided",
                condition=Q(state="open", decided_at=None)
                | Q(state__in=["upheld", "rejected"], decided_at__isnull=False),
            ),
            models.CheckConstraint(
                name="billing_dispute_amounts",
                condition=Q(gross_nanos__gt=0, net_nanos__gte=0, net_nanos__lte=F("gross_nanos")),
            ),
        ]
        indexes = [
            models.Index(name="billing_dispute_customer", fields=["customer", "-opened_at"]),
            models.Index(name="billing_dispute_payee", fields=["payee", "-opened_at"]),
        ]

    def __str__(self) -> str:
        return f"dispute of {self.charge}"


class Debt(models.Model):
    """What a hoster owes: earnings that were released and had to be given back. Later earnings pay it first."""

    account = models.OneToOneField(
        LedgerAccount, models.PROTECT, primary_key=True, help_text="the hoster's pending account"
    )
    owed_nanos = models.BigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="billing_debt_not_negative", condition=Q(owed_nanos__gte=0))
        ]

    def __str__(self) -> str:
        return f"{self.owed_nanos} of {self.account_id}"


class PayoutDestination(models.Model):
    """Where a customer's payouts go by one method. The text is encrypted; only staff who pay read it."""

    class Method(models.TextChoices):
        PAYPAL = "paypal", "PayPal"
        BANK_TRANSFER = "bank_transfer", "bank transfer"
        CRYPTO = "crypto", "crypto"
        STRIPE = "stripe", "Stripe"

    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="payout_destinations")
    method = models.CharField(max_length=13, choices=Method)
    sealed = models.TextField()
    changed_at = models.DateTimeField(db_default=Now())
    ready = models.BooleanField(default=True, help_text="with Stripe: the account may receive transfers")

    class Meta:
        constraints = [
            models.UniqueConstraint(name="billing_payoutdestination_once", fields=["customer", "method"]),
        ]

    def __str__(self) -> str:
        return f"{self.get_method_display()} of {self.customer_id}"


class Payout(models.Model):
    """Earned money that leaves as cash: reserved when asked for, paid after an approval, or given back."""

    class State(models.TextChoices):
        REQUESTED = "requested", "waits for approval"
        APPROVED = "approved", "approved, on its way"
        PAID = "paid", "paid"
        REJECTED = "rejected", "rejected: the money is back"
        CANCELLED = "cancelled", "cancelled: the money is back"
        FAILED = "failed", "failed: the money is back"

    OPEN = (State.REQUESTED, State.APPROVED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="payouts")
    amount_nanos = models.BigIntegerField()
    method = models.CharField(max_length=13, choices=PayoutDestination.Method)
    sealed = models.TextField(help_text="the destination when it was asked for, encrypted")
    state = models.CharField(max_length=9, choices=State, default=State.REQUESTED)
    requested_at = models.DateTimeField(db_default=Now())
    due_on = models.DateField(help_text="processed by then")
    waits_for = models.TextField(blank=True, help_text="why a person must look at it")
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="payouts_approved"
    )
    seconded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="payouts_seconded"
    )
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="payouts_closed"
    )
    reason = models.TextField(blank=True, help_text="why it ended so; the hoster reads it")
    reference = models.CharField(max_length=200, null=True, unique=True, help_text="the payment's id outside")

    class Meta:
        constraints = [
            models.CheckConstraint(name="billing_payout_amount", condition=Q(amount_nanos__gt=0)),
            models.CheckConstraint(
                name="billing_payout_closed",
                condition=Q(state__in=["requested", "approved"], closed_at=None)
                | Q(state__in=["paid", "rejected", "cancelled", "failed"], closed_at__isnull=False),
            ),
            models.CheckConstraint(
                name="billing_payout_paid_has_reference",
                condition=~Q(state="paid") | Q(reference__isnull=False),
            ),
            models.CheckConstraint(
                name="billing_payout_two_people",
                condition=Q(seconded_by=None) | ~Q(seconded_by=F("approved_by")),
            ),
        ]
        indexes = [
            models.Index(name="billing_payout_customer", fields=["customer", "-requested_at"]),
            models.Index(name="billing_payout_open", fields=["due_on"], condition=Q(closed_at=None)),
        ]

    def __str__(self) -> str:
        return f"payout {self.id}"


class TopUp(models.Model):
    """Credit bought with a card: open until the payment is confirmed, booked once, perhaps taken back later."""

    class State(models.TextChoices):
        OPEN = "open", "waits for the payment"
        PAID = "paid", "paid"
        EXPIRED = "expired", "not paid"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="topups")
    amount_nanos = models.BigIntegerField()
    automatic = models.BooleanField(default=False)
    state = models.CharField(max_length=7, choices=State, default=State.OPEN)
    created_at = models.DateTimeField(db_default=Now())
    paid_at = models.DateTimeField(null=True)
    checkout = models.CharField(max_length=255, null=True, unique=True, help_text="Stripe's session")
    payment = models.CharField(max_length=255, null=True, unique=True, help_text="Stripe's payment intent")
    taken_back_nanos = models.BigIntegerField(default=0, help_text="refunded or charged back")
    given_again_nanos = models.BigIntegerField(
        default=0, help_text="of that: the refund failed, or the chargeback was won"
    )
    error = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="billing_topup_amounts",
                condition=Q(
                    amount_nanos__gt=0,
                    given_again_nanos__gte=0,
                    taken_back_nanos__gte=F("given_again_nanos"),
                    taken_back_nanos__lte=F("amount_nanos") + F("given_again_nanos"),
                ),
            ),
            models.CheckConstraint(
                name="billing_topup_paid", condition=Q(state="paid", paid_at__isnull=False) | ~Q(state="paid")
            ),
        ]
        indexes = [models.Index(name="billing_topup_customer", fields=["customer", "-created_at"])]

    def __str__(self) -> str:
        return f"top-up {self.id}"

    @property
    def gone_nanos(self) -> int:
        """What went back to the payer and stayed there."""
        return self.taken_back_nanos - self.given_again_nanos


class Recharge(models.Model):
    """A customer's wish to be topped up when the credit runs low, up to a cap for each calendar month (UTC)."""

    customer = models.OneToOneField(
        "accounts.Customer", models.PROTECT, primary_key=True, related_name="recharge"
    )
    enabled = models.BooleanField(default=False)
    below_nanos = models.BigIntegerField(default=5_000_000_000)
    amount_nanos = models.BigIntegerField(default=20_000_000_000)
    month_max_nanos = models.BigIntegerField(default=100_000_000_000)
    stripe_customer = models.CharField(max_length=255, blank=True)
    payment_method = models.CharField(max_length=255, blank=True)
    paused_because = models.TextField(blank=True, help_text="the card was refused; the customer must act")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="billing_recharge_amounts",
                condition=Q(below_nanos__gte=0, amount_nanos__gt=0, month_max_nanos__gte=F("amount_nanos")),
            ),
        ]

    def __str__(self) -> str:
        return f"recharge of {self.customer_id}"


class StripeEvent(models.Model):
    """An event that Stripe told us of and that was acted upon: the same one is not acted upon again."""

    id = models.CharField(max_length=255, primary_key=True)
    type = models.CharField(max_length=100)
    received_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class IdempotentRequest(models.Model):
    """A POST with an `Idempotency-Key`: the same key and body get the same answer for 24 hours, paid once.

    The answer is encrypted. Of an inference request `charge` is its money and `boot` the process at work.
    """

    customer = models.ForeignKey("accounts.Customer", models.PROTECT)
    name = models.CharField(max_length=255, help_text="the header's text")
    route = models.CharField(max_length=100)
    body_digest = models.BinaryField(max_length=32)
    running = models.BooleanField(default=True)
    boot = models.UUIDField(null=True)
    charge = models.UUIDField(null=True)
    status = models.SmallIntegerField(null=True)
    answer = models.BinaryField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(db_default=Now(), help_text="the attempt that runs, or ran last")

    class Meta:
        constraints = [
            models.UniqueConstraint(name="billing_idempotentrequest_once", fields=["customer", "name"]),
        ]
        indexes = [models.Index(name="billing_idempotent_age", fields=["created_at"])]

    def __str__(self) -> str:
        return f"{self.route} {self.name}"


class Webhook(models.Model):
    """Where a customer wants to get notices, too: an address and the secret that signs what is sent there."""

    customer = models.OneToOneField(
        "accounts.Customer", models.PROTECT, primary_key=True, related_name="webhook"
    )
    url = models.URLField(max_length=500)
    secret_sealed = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    last_result = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"webhook of {self.customer_id}"


class Notice(models.Model):
    """Something to tell a customer, once for each subject: kept here until the e-mail and the webhook are out."""

    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="notices")
    subject = models.CharField(max_length=200, unique=True, help_text="what it is about; told once")
    kind = models.CharField(max_length=30)
    facts = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    mailed_at = models.DateTimeField(null=True)
    hooked_at = models.DateTimeField(null=True)
    hook_tries = models.SmallIntegerField(default=0)
    hook_next_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(name="billing_notice_to_mail", fields=["created_at"], condition=Q(mailed_at=None)),
            models.Index(
                name="billing_notice_to_hook",
                fields=["hook_next_at"],
                condition=Q(hook_next_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.subject
