"""Who is calling: users who sign in, customers who pay, the keys they call with, and the limits of their tier."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    """Someone who signs in; known by the e-mail address. Inactive users' keys are refused at once."""

    username = None  # type: ignore[assignment]  # Django's way to drop an inherited field
    email = models.EmailField("e-mail address", unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]  # the base class names its own

    def __str__(self) -> str:
        return self.email


class Tier(models.Model):
    """Limits per customer, over all keys and processes; an empty limit means none."""

    name = models.SlugField(primary_key=True)
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)
    requests_per_day = models.PositiveIntegerField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Customer(models.Model):
    """Who pays: owns keys and a ledger account. A hoster is linked to one, into which its earnings flow."""

    user = models.OneToOneField(User, models.PROTECT, related_name="customer")
    tier = models.ForeignKey(Tier, models.PROTECT, default="free")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.user.email


class ApiKey(models.Model):
    """A key's digest and what it may do. The key itself is shown once and kept nowhere."""

    class SpendPeriod(models.TextChoices):
        DAY = "day", "per day"
        WEEK = "week", "per week"
        MONTH = "month", "per month"
        TOTAL = "total", "in all"

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=80)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    visible_part = models.CharField(max_length=20, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    spend_limit_nanos = models.BigIntegerField(null=True, blank=True)
    spend_period = models.CharField(max_length=5, choices=SpendPeriod, default=SpendPeriod.MONTH)
    allowed_models = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    is_playground = models.BooleanField(
        db_default=False, default=False, editable=False, help_text="made by the playground for a few minutes"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="accounts_apikey_spend_limit_not_negative",
                condition=Q(spend_limit_nanos__isnull=True) | Q(spend_limit_nanos__gte=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.visible_part})"


class ReplacedKey(models.Model):
    """The string that a key had before it was rotated. Until works_until it stands for the same key.

    So limits, windows and history are one, whichever of the strings a request brings.
    """

    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    key = models.ForeignKey(ApiKey, models.CASCADE, related_name="replaced")
    visible_part = models.CharField(max_length=20, editable=False)
    replaced_at = models.DateTimeField(db_default=Now(), editable=False)
    works_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.visible_part} until {self.works_until:%Y-%m-%d %H:%M}"
