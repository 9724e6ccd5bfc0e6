"""What a customer is told of, and where: by mail, and to a webhook."""

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.models import Customer
from billing import emails
from billing.models import Notice, Webhook
from billing.visitors import customers_only
from hosting import webhooks
from hosting.addresses import AddressRefused
from neuralgate.money_forms import WebhookForm

LATEST = 20
TEST = emails.Letter("A test of your webhook", "")  # the one kind without a letter


@dataclass(frozen=True, slots=True)
class Line:
    """A notice as the page lists it: with the subject of its letter, and the page that it is about."""

    notice: Notice
    words: str
    path: str


@customers_only
def notices(request: HttpRequest, customer: Customer) -> HttpResponse:
    """The latest notices, and the webhook; after saving one, once, its secret."""
    hook = Webhook.objects.filter(customer=customer).first()
    form = WebhookForm(request.POST or None, initial={"url": hook.url} if hook else None)
    secret = ""
    if request.method == "POST" and form.is_valid():
        try:
            secret = webhooks.keep(customer=customer, url=form.cleaned_data["url"])
            hook = Webhook.objects.get(customer=customer)
        except AddressRefused as refusal:
            form.add_error("url", str(refusal))
    context = {
        "customer": customer,
        "form": form,
        "hook": hook,
        "secret": secret,
        "lines": [line(notice) for notice in customer.notices.order_by("-pk")[:LATEST]],
        "signature": webhooks.SIGNATURE,
    }
    return render(request, "accounts/notices.html", context)


def line(notice: Notice) -> Line:
    try:
        letter = TEST if notice.kind == "test" else emails.write(notice)
    except emails.UnknownKind:  # of an older version
        letter = emails.Letter(notice.kind, "")
    return Line(notice, letter.subject, letter.path)


@require_POST
@customers_only
def change(request: HttpRequest, customer: Customer, what: str) -> HttpResponse:
    """Send a test, or stop."""
    if what == "test":
        webhooks.try_out(customer)
        messages.success(
            request, "A test is on its way. What became of it stands below, within half a minute."
        )
    else:
        webhooks.forget(customer)
        messages.success(request, "Nothing is sent there any more.")
    return redirect("notices")
