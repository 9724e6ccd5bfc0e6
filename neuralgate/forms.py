"""Forms of pages that show several apps: keys (limits are money, models the market's), the log's filters."""

import dataclasses
import datetime as dt
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone

from accounts import issuing, wording
from accounts.days import LAST_DAY
from accounts.models import ApiKey
from billing import disputes, money
from billing.models import Dispute
from hosting import namesakes, terms
from routing import endings, receipts
from routing.history import Filter

MODELS_MAX = 100
SPEND_LIMIT_USD_MAX = Decimal(1_000_000)


class KeyForm(wording.Form):
    """The keyword arguments of `issuing.issue`, without the customer.

    models_before: what the key was allowed already, which may have gone from the market.
    """

    models_before: Sequence[str] = ()

    name = forms.CharField(
        max_length=80,
        help_text="Where you use it, so that you know which one to revoke: “notebook”, “website”.",
    )
    expires_at = forms.DateField(
        label="Last day",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="It works through this day (UTC). Empty: until you revoke it.",
    )
    spend_limit_nanos = forms.DecimalField(
        label="Spending limit in USD",
        required=False,
        min_value=0,
        max_value=SPEND_LIMIT_USD_MAX,
        decimal_places=6,
        help_text="Empty: your balance is the only limit. 0: free models only.",
    )
    spend_period = forms.ChoiceField(
        label="Limit applies",
        choices=ApiKey.SpendPeriod.choices,
        initial=ApiKey.SpendPeriod.MONTH,
        help_text="Days and months are UTC's.",
    )
    allowed_models = forms.CharField(
        label="Allowed models",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="One per line, exactly as on the models page, or auto. Empty: every model.",
    )

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise ValidationError("Use printable characters only.")
        return name

    def clean_expires_at(self) -> dt.datetime | None:
        last_day: dt.date | None = self.cleaned_data["expires_at"]
        if last_day is None:
            return None
        if last_day < timezone.now().date():
            raise ValidationError("This day has passed. Choose today or a later one.")
        if last_day > LAST_DAY:
            raise ValidationError(
                f"Choose a day before the year {LAST_DAY.year + 1}, or none: it then works until you revoke it."
            )
        return dt.datetime.combine(last_day, dt.time(), dt.UTC) + dt.timedelta(days=1)

    def clean_spend_limit_nanos(self) -> int | None:
        limit_usd: Decimal | None = self.cleaned_data["spend_limit_nanos"]
        return None if limit_usd is None else money.nanos(limit_usd)

    def clean_allowed_models(self) -> list[str]:
        names = list(dict.fromkeys(self.cleaned_data["allowed_models"].split()))
        if len(names) > MODELS_MAX:
            raise ValidationError(f"List {MODELS_MAX} models at most.")
        for name in names:
            if terms.MODEL_ID.fullmatch(name) is None:
                raise ValidationError(f"“{name[:80]}” cannot be the id of a model.")
        if complaints := namesakes.complaints([name for name in names if name not in self.models_before]):
            raise ValidationError([ValidationError(complaint) for complaint in complaints])
        return names


class EditKeyForm(KeyForm):
    """The keyword arguments of `issuing.amend`, without the key. The form begins with what the key has."""

    def __init__(self, data: Any = None, *, key: ApiKey) -> None:
        self.key = key
        self.models_before = key.allowed_models
        limit_nanos = key.spend_limit_nanos
        has = {
            "name": key.name,
            "expires_at": key.expires_at and (key.expires_at - dt.timedelta(microseconds=1)).date(),
            "spend_limit_nanos": None if limit_nanos is None else money.decimal(limit_nanos),
            "spend_period": key.spend_period,
            "allowed_models": "\n".join(key.allowed_models),
        }
        super().__init__(data, initial=has)
        self.fields["spend_period"].help_text += " Under another period, counting begins anew."

    def clean_expires_at(self) -> dt.datetime | None:
        # A key may end in the midst of its last day: what nobody touched stays as it is.
        return super().clean_expires_at() if "expires_at" in self.changed_data else self.key.expires_at


class RotateForm(wording.Form):
    """For how long the old string of a key goes on working."""

    grace = forms.TypedChoiceField(
        label="The old one goes on working for",
        coerce=lambda index: issuing.GRACES[int(index)],
        choices=list(enumerate(("no longer: it is dead at once", "1 hour", "24 hours", "7 days"))),
        initial=2,
        widget=forms.RadioSelect,
    )


class DisputeForm(wording.Form):
    """The keyword arguments of `disputes.open_`, without the customer and the charge."""

    reason = forms.ChoiceField(label="What is wrong", choices=[("", "Choose one"), *Dispute.Reason.choices])
    detail = forms.CharField(
        label="In your words",
        required=False,
        max_length=disputes.DETAIL_CHARS_MAX,
        widget=forms.Textarea(attrs={"rows": 4, "class": "prose"}),
        help_text="Only the person who decides reads it. Neither your prompt nor the answer is kept: say what you saw.",
    )


class RequestsForm(wording.Form):
    """The filters of the log; empty ones filter nothing."""

    key = forms.ModelChoiceField(ApiKey.objects.none(), required=False, empty_label="any key")
    model = forms.CharField(
        required=False, max_length=200, widget=forms.TextInput(attrs={"placeholder": "or a part"})
    )
    outcome = forms.ChoiceField(required=False, choices=[("", "any outcome"), *endings.CHOICES])
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    id = forms.CharField(label="Request id", required=False, max_length=80)

    def __init__(self, *args: Any, keys: QuerySet[ApiKey], **options: Any) -> None:
        """keys: the customer's own."""
        super().__init__(*args, **options)
        self.fields["key"].queryset = keys

    def clean_id(self) -> uuid.UUID | None:
        text: str = self.cleaned_data["id"]
        found = receipts.parse(text) if text else None
        if text and found is None:
            raise ValidationError("This is not the id of a request.")
        return found

    def clean(self) -> None:
        first, last = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if first and last and first > last:
            self.add_error("until", "This day is before the first one. Choose the same day or a later one.")

    def wanted(self) -> Filter:
        """The filters of a valid form."""
        given = self.cleaned_data
        days = Filter.of_days(given["since"], given["until"])
        return dataclasses.replace(
            days,
            key=given["key"].pk if given["key"] else None,
            model_part=given["model"] or None,
            outcome=given["outcome"] or None,
        )
