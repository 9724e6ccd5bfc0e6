"""What a customer is told of, and where: by mail, and to a webhook."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.models import Customer
from billing.models import Webhook
from billing.visitors import customers_only
from hosting import webhooks
from hosting.addresses import AddressRefused
from neuralgate.money_forms import WebhookForm

LATEST = 20


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
        "notices": customer.notices.order_by("-pk")[:LATEST],
        "mails": bool(settings.EMAIL_HOST),
        "signature": webhooks.SIGNATURE,
    }
    return render(request, "accounts/notices.html", context)


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
