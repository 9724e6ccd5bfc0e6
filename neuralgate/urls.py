"""Every route that Django serves; the three inference routes never get here (see asgi.py)."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

from accounts import api
from neuralgate import credit_pages, key_pages, pages, payout_pages, probes

admin.site.site_header = admin.site.site_title = "NeuralGate"
PUBLIC = {"authentication_classes": [], "permission_classes": [AllowAny]}

urlpatterns = [
    path("favicon.ico", RedirectView.as_view(url="/static/img/logo.svg")),  # for pages that name no icon
    path("healthz", probes.healthz),
    path("readyz", probes.readyz),
    # ---------------------------------------------------------------------- pages; hosters' are in hosting.urls
    path("", pages.landing, name="landing"),
    path("models", pages.models, name="models"),
    path("account", pages.account, name="account"),
    path("account/requests", pages.requests, name="requests"),
    path("account/keys/new", key_pages.new, name="new_key"),
    path("account/keys/<int:key_id>/revoke", key_pages.revoke, name="revoke_key"),
    path("hosters/portal", pages.portal, name="portal"),
    path("account/credit", credit_pages.credit, name="credit"),
    path("account/credit/automatic", credit_pages.automatic, name="recharge"),
    path("account/credit/<uuid:topup_id>", credit_pages.topup, name="topup"),
    path("hosters/payouts", payout_pages.listed, name="payouts"),
    path("hosters/payouts/stripe", payout_pages.stripe_account, name="stripe_account"),
    path("hosters/payouts/<uuid:payout_id>/cancel", payout_pages.cancel, name="cancel_payout"),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    # ---------------------------------------------------------------------- the API
    path("v1/openapi.json", SpectacularJSONAPIView.as_view(**PUBLIC), name="openapi"),
    path("v1/docs", SpectacularSwaggerSplitView.as_view(url_name="openapi", **PUBLIC)),
    path("", include("routing.urls")),
    path("", include("billing.urls")),
    path("", include("hosting.urls")),
    re_path(r"^v1/", api.nothing_here),
]

handler400 = api.bad_request
handler404 = api.page_not_found
handler500 = api.server_error
