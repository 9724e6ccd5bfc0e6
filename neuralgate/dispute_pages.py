"""A customer's disputes: opened from a receipt, listed with their verdicts."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.models import Customer
from billing import disputes
from billing.disputes import DisputeRefused
from billing.visitors import customers_only
from neuralgate import request_pages
from neuralgate.forms import DisputeForm
from routing import receipts

PAGE_ROWS = 25


@customers_only
def listing(request: HttpRequest, customer: Customer) -> HttpResponse:
    """The newest first."""
    rows = Paginator(customer.disputes.order_by("-opened_at", "-pk"), PAGE_ROWS)
    page = rows.get_page(request.GET.get("page"))
    models = receipts.models_of([dispute.charge for dispute in page])
    listed = [(dispute, models.get(dispute.charge, "")) for dispute in page]
    return render(request, "pages/disputes.html", {"page": page, "listed": listed})


@customers_only
def dispute(request: HttpRequest, customer: Customer, request_id: str) -> HttpResponse:
    """Dispute one request; what is refused is said beside what was written. A GET leads to the receipt."""
    wanted = receipts.parse(request_id)
    found = receipts.of(customer, wanted) if wanted else None
    if found is None:
        raise Http404
    if request.method != "POST":
        return redirect("receipt", found.id)
    form = DisputeForm(request.POST)
    if form.is_valid():
        try:
            disputes.open_(customer=customer, charge=found.id, **form.cleaned_data)
        except DisputeRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "It is disputed. A person looks at it and says why it was decided so.")
            return redirect("receipt", found.id)
    return request_pages.show(request, customer, found, form)
