"""The door of the signed-in pages: every view behind it starts from the customer who asks."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.cache import cache_control

from accounts.models import Customer
from billing import ledger

P = ParamSpec("P")


def customers_only(
    view: Callable[Concatenate[HttpRequest, Customer, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """`view(request, customer, …)` for whoever is signed in; others are asked to sign in. Nothing is cached.

    Staff without a customer go to the admin; anybody else without one (made by hand there) gets one.
    """

    @login_required
    @cache_control(private=True, no_store=True)
    @functools.wraps(view)
    def visit(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        assert request.user.is_authenticated
        customer = Customer.objects.select_related("user", "tier").filter(user=request.user).first()
        if customer is None and request.user.is_staff:
            return redirect("admin:index")
        return view(request, customer or ledger.open_customer(user=request.user), *args, **kwargs)

    return visit
