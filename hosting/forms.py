"""What hosters write: a server, its models and prices, a token. Prices are nanodollars per token."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.forms.utils import ErrorDict

from accounts import wording
from hosting import addresses, connector, registration, terms
from hosting.addresses import AddressRefused
from hosting.models import PRICE_MAX, TOKENS_MAX
from hosting.registration import RegistrationRefused
from hosting.terms import MODELS_MAX, ModelTerms, TermsRefused

PRICE_HELP = "Nanodollars per token: 100 is $0.10 per 1M tokens."
PRICE_RANGE = (
    f"a whole number from 0 to {PRICE_MAX:,} nanodollars per token (${PRICE_MAX // 1_000:,} per 1M tokens)"
)


def _price(label: str, help_text: str = "") -> forms.IntegerField:
    widget = forms.NumberInput(attrs={"data-price": "", "inputmode": "numeric"})
    refused = dict.fromkeys(("invalid", "min_value", "max_value"), f"A price is {PRICE_RANGE}.")
    return forms.IntegerField(
        label=label,
        min_value=0,
        max_value=PRICE_MAX,
        widget=widget,
        help_text=help_text,
        error_messages=refused,
    )


def _token(help_text: str) -> forms.CharField:
    widget = forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    return forms.CharField(
        label="Token of your own",
        required=False,
        max_length=registration.TOKEN_CHARS_MAX,
        widget=widget,
        help_text=help_text,
    )


class TokenForm(wording.Form):
    """The new token of a server; made by us when left empty."""

    server_token = _token(
        f"At least {registration.TOKEN_CHARS_MIN} characters, without spaces. Leave it empty and we make one."
    )

    def clean_server_token(self) -> str | None:
        token = self.cleaned_data["server_token"]
        try:
            return registration.check_hosters_token(token) if token else None
        except RegistrationRefused as refusal:
            raise ValidationError(str(refusal)) from None


class ServerForm(wording.Form):
    """A server to register: the keyword arguments of `setups.begin`, without the customer."""

    name = forms.CharField(
        label="Name",
        max_length=registration.NAME_CHARS_MAX,
        help_text="Customers see the name of your first server as yours, and can ask for you by it.",
    )
    base_url = forms.CharField(
        label="Address",
        max_length=addresses.HOSTER_URL_CHARS_MAX,
        widget=forms.URLInput(attrs={"placeholder": "https://gpu.your-domain.org:8443"}),
        help_text="Where it listens, reachable from the internet, without /v1.",
    )
    slots = forms.IntegerField(
        label="Slots",
        min_value=1,
        max_value=registration.SLOTS_MAX,
        initial=settings.SERVER_SLOTS_DEFAULT,
        help_text="How many requests it answers at once (llama-server -np, vLLM --max-num-seqs).",
    )
    field_order = ("name", "base_url", "slots")

    def clean_base_url(self) -> str:
        try:
            return str(addresses.parse_base_url(self.cleaned_data["base_url"].strip(), connector.policy()))
        except AddressRefused as refusal:
            raise ValidationError(str(refusal)) from None


class PriceForm(wording.Form):
    price_in = _price("Input price")
    price_out = _price("Output price")


class ModelForm(PriceForm):
    """A model on a server; `terms` holds it once the form is valid."""

    model_id = forms.CharField(
        label="Model", max_length=200, widget=forms.TextInput(attrs={"placeholder": "qwen2.5:7b"})
    )
    price_in = _price("Input price", PRICE_HELP)
    price_out = _price("Output price", PRICE_HELP)
    context_window = forms.IntegerField(
        label="Context window",
        min_value=1,
        max_value=TOKENS_MAX,
        initial=settings.CONTEXT_WINDOW_DEFAULT,
        help_text="Tokens.",
    )
    upstream_name = forms.CharField(
        label="Your server's own name for it",
        required=False,
        max_length=200,
        help_text="Only if it differs.",
    )

    field_order = ("model_id", "price_in", "price_out", "context_window", "upstream_name")
    terms: ModelTerms

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self.errors and given.get("model_id"):
            self.terms = ModelTerms(**given)
            try:
                terms.check_hosters([self.terms])
            except TermsRefused as refusal:
                raise ValidationError(str(refusal)) from None
        return given


class FoundForm(ModelForm):
    """A model that the server lists: offered when it is ticked; what is not ticked is not looked at."""

    offer = forms.BooleanField(label="Offer it", required=False)
    model_id = forms.CharField(
        label="Public name",
        max_length=200,
        help_text="What customers ask for. Under the name that others use it stands beside theirs.",
    )
    upstream_name = None  # type: ignore[assignment]  # it is known: the server's own list says it

    field_order = ("offer", "model_id", "price_in", "price_out", "context_window")

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and not self.cleaned_data.get("offer"):
            self._errors = ErrorDict()

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("offer") and not self.errors:
            name, listed = given["model_id"], self.initial["listed"]
            upstream = listed if listed != name else ""
            self.terms = ModelTerms(
                name, given["price_in"], given["price_out"], given["context_window"], upstream
            )
            try:
                terms.check_hosters([self.terms])
            except TermsRefused as refusal:
                raise ValidationError(str(refusal)) from None
        return given


class FoundForms(forms.BaseFormSet):
    """At least one of the models must be ticked."""

    def clean(self) -> None:
        if any(self.errors):
            return
        try:
            terms.check_hosters(terms_of(self))
        except TermsRefused as refusal:
            words = str(refusal) if terms_of(self) else "Tick at least one model."
            raise ValidationError(words) from None


FoundFormSet = forms.formset_factory(
    FoundForm, formset=FoundForms, extra=0, max_num=MODELS_MAX, absolute_max=MODELS_MAX + 1
)


def terms_of(models: forms.BaseFormSet) -> list[ModelTerms]:
    """The terms of every row that was filled in, once the rows are valid."""
    return [form.terms for form in models.forms if hasattr(form, "terms")]
