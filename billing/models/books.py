"""The books: accounts, one-row transfers, charges (a hold is a charge that is not settled yet), maturities.

All amounts are nanodollars. What must never be is refused by PostgreSQL: see the constraints here and the
triggers in the migrations. Only `billing.ledger` and the functions of the migrations write here.
"""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class LedgerAccount(models.Model):
    """One side of a transfer. Only customers' accounts store a balance: only they can refuse.

    The others are sums over transfers, so that no row is shared by all requests.
    """

    class Kind(models.TextChoices):
        CUSTOMER = "customer", "a customer's credit"
        HOSTER_PENDING = "hoster_pending", "a hoster's earnings, not released yet"
        HOSTER_DISPUTED = "hoster_disputed", "a hoster's earnings that somebody disputes"
        PLATFORM_FEES = "platform_fees", "what the platform earned"
        PLATFORM_PROMOTIONS = "platform_promotions", "credit given away"
        PLATFORM_SALES = "platform_sales", "credit sold for money"
        PLATFORM_LOSS = "platform_loss", "refunds that nobody else can bear"
        PLATFORM_PAYOUTS = "platform_payouts", "payouts on their way"
        PLATFORM_PAID = "platform_paid", "payouts that were paid"

    kind = models.CharField(max_length=20, choices=Kind)
    customer = models.ForeignKey(
        "accounts.Customer", models.PROTECT, null=True, related_name="ledger_accounts"
    )
    posted_nanos = models.BigIntegerField(null=True)
    held_nanos = models.BigIntegerField(null=True)
    earned_nanos = models.BigIntegerField(
        null=True, help_text="the part of posted that was earned by hosting"
    )
    bought_nanos = models.BigIntegerField(null=True, help_text="the part of posted that was paid for")
    month_starts_at = models.DateTimeField(null=True, help_text="the latest month with an opening balance")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="billing_ledgeraccount_owner", fields=["customer", "kind"], nulls_distinct=False
            ),
            models.CheckConstraint(
                name="billing_ledgeraccount_has_owner",
                condition=Q(
                    kind__in=["customer", "hoster_pending", "hoster_disputed"], customer__isnull=False
                )
                | (~Q(kind__in=["customer", "hoster_pending", "hoster_disputed"]) & Q(customer__isnull=True)),
            ),
            models.CheckConstraint(
                name="billing_ledgeraccount_stores_balance",
                condition=Q(
                    kind="customer",
                    posted_nanos__isnull=False,
                    held_nanos__isnull=False,
                    earned_nanos__isnull=False,
                    bought_nanos__isnull=False,
                )
                | (
                    ~Q(kind="customer")
                    & Q(
                        posted_nanos__isnull=True,
                        held_nanos__isnull=True,
                        earned_nanos__isnull=True,
                        bought_nanos__isnull=True,
                    )
                ),
            ),
            models.CheckConstraint(
                name="billing_ledgeraccount_not_overdrawn",
                condition=Q(posted_nanos__isnull=True)
                | Q(
                    posted_nanos__gte=F("held_nanos"),
                    held_nanos__gte=0,
                    earned_nanos__gte=0,
                    bought_nanos__gte=0,
                )
                & Q(posted_nanos__gte=F("earned_nanos") + F("bought_nanos")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} #{self.pk}"


class OpeningBalance(models.Model):
    """A customer's balance at the start of a calendar month (UTC), kept by a trigger at the month's first booking.

    At the start of a month without a row it was that of the next row: nothing had been booked between.
    """

    account = models.ForeignKey(LedgerAccount, models.PROTECT)
    starts_at = models.DateTimeField()
    posted_nanos = models.BigIntegerField()
    earned_nanos = models.BigIntegerField()
    bought_nanos = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="billing_openingbalance_once", fields=["account", "starts_at"])
        ]

    def __str__(self) -> str:
        return f"account {self.account_id} at {self.starts_at}"


class ReleaseDay(models.Model):
    """What left a hoster's pending account by releases on one day (UTC): to its customer account, or to its debts."""

    account = models.ForeignKey(LedgerAccount, models.PROTECT)
    starts_at = models.DateTimeField()
    releases = models.BigIntegerField()
    released_nanos = models.BigIntegerField()
    payable_nanos = models.BigIntegerField(help_text="the part of released that somebody had paid for")
    kept_back_nanos = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="billing_releaseday_once", fields=["account", "starts_at"])
        ]

    def __str__(self) -> str:
        return f"account {self.account_id} on {self.starts_at:%Y-%m-%d}"


class Transfer(models.Model):
    """Money moved from one account to another: one row, never changed, never deleted.

    id is derived from what the transfer is for, so the same thing cannot be booked twice.
    """

    class Kind(models.TextChoices):
        GRANT = "grant", "promotional credit"
        SALE = "sale", "credit bought"
        CHARGE = "charge", "a request: the hoster's part"
        FEE = "fee", "a request: the platform's part"
        RELEASE = "release", "earnings released"
        REFUND = "refund", "a charge given back"
        DISPUTE = "dispute", "an earning frozen"
        VERDICT = "verdict", "an earning pending again"
        RECOVERY = "recovery", "a released earning that was given back, from later ones"
        PAYOUT = "payout", "a payout asked for"
        RETURN = "return", "a payout that came back"
        PAID = "paid", "a payout paid"
        CLAWBACK = "clawback", "a payment refunded or charged back"

    id = models.UUIDField(primary_key=True)
    kind = models.CharField(max_length=8, choices=Kind)
    debit = models.ForeignKey(LedgerAccount, models.PROTECT, related_name="debits")
    credit = models.ForeignKey(LedgerAccount, models.PROTECT, related_name="credits")
    amount_nanos = models.BigIntegerField()
    earned_nanos = models.BigIntegerField(help_text="the part of the amount that was earned money")
    bought_nanos = models.BigIntegerField(help_text="the part of the amount that was bought money")
    charge = models.UUIDField(null=True, help_text="the charge it belongs to")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        managed = False  # migration 0002: SQL, for the trigger and the partitions
        db_table = "billing_transfer"

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_nanos}"


class Charge(models.Model):
    """A request's money: held before it is sent on, then posted or voided, once.

    `price_in`, `price_out`, `payee` have one entry for each server it may go to (nanodollars per token; the
    hoster's pending account, 0 for the platform's own); `quote` is the 1-based entry that served it.
    """

    class State(models.TextChoices):
        HELD = "held"
        POSTED = "posted"
        VOIDED = "voided"

    id = models.UUIDField(primary_key=True)
    state = models.CharField(max_length=6, choices=State)
    account = models.ForeignKey(LedgerAccount, models.PROTECT)
    key = models.ForeignKey("accounts.ApiKey", models.PROTECT)
    boot = models.UUIDField(help_text="the gateway process that holds it")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    spend_window = models.DateTimeField(null=True)
    hold_nanos = models.BigIntegerField()
    price_in = ArrayField(models.BigIntegerField())
    price_out = ArrayField(models.BigIntegerField())
    payee = ArrayField(models.BigIntegerField())
    input_tokens_max = models.BigIntegerField()
    output_tokens_max = models.BigIntegerField()
    fee_bps = models.IntegerField()
    settled_at = models.DateTimeField(null=True)
    quote = models.SmallIntegerField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    gross_nanos = models.BigIntegerField(null=True)
    fee_nanos = models.BigIntegerField(null=True)
    net_nanos = models.BigIntegerField(null=True)
    payable_nanos = models.BigIntegerField(null=True)
    matures_at = models.DateTimeField(null=True)
    void_reason = models.TextField(null=True)

    class Meta:
        managed = False  # migration 0002: partitioned by month
        db_table = "billing_charge"

    def __str__(self) -> str:
        return f"{self.id} {self.state}"


class Maturity(models.Model):
    """What a hoster's pending account releases at one moment: the charges of one minute together."""

    account = models.ForeignKey(LedgerAccount, models.PROTECT)
    matures_at = models.DateTimeField()
    amount_nanos = models.BigIntegerField()
    payable_nanos = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="billing_maturity_once", fields=["account", "matures_at"]),
            models.CheckConstraint(
                name="billing_maturity_amounts",
                condition=Q(amount_nanos__gt=0, payable_nanos__gte=0, payable_nanos__lte=F("amount_nanos")),
            ),
        ]
        indexes = [models.Index(name="billing_maturity_due", fields=["matures_at"])]

    def __str__(self) -> str:
        return f"{self.amount_nanos} at {self.matures_at}"


class SpendWindow(models.Model):
    """What a key with a spending limit has spent and holds in one day, week, month or in all."""

    key = models.ForeignKey("accounts.ApiKey", models.PROTECT)
    starts_at = models.DateTimeField()
    spent_nanos = models.BigIntegerField(default=0)
    held_nanos = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="billing_spendwindow_once", fields=["key", "starts_at"]),
            models.CheckConstraint(
                name="billing_spendwindow_not_negative", condition=Q(spent_nanos__gte=0, held_nanos__gte=0)
            ),
        ]

    def __str__(self) -> str:
        return f"key {self.key_id} from {self.starts_at}"


class RateWindow(models.Model):
    """Requests admitted and tokens settled for one customer in one calendar minute or day (UTC)."""

    class Span(models.TextChoices):
        MINUTE = "minute"
        DAY = "day"

    customer = models.ForeignKey("accounts.Customer", models.PROTECT)
    span = models.CharField(max_length=6, choices=Span)
    starts_at = models.DateTimeField()
    requests = models.BigIntegerField(default=0)
    tokens = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="billing_ratewindow_once", fields=["customer", "span", "starts_at"]),
        ]
        indexes = [models.Index(name="billing_ratewindow_age", fields=["starts_at"])]

    def __str__(self) -> str:
        return f"customer {self.customer_id}, {self.span} from {self.starts_at}"
