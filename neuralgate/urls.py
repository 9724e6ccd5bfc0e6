"""Every route that Django serves; the three inference routes never get here (see asgi.py)."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

from accounts import api
from neuralgate import (
    account_pages,
    credit_pages,
    dispute_pages,
    email_pages,
    join_pages,
    key_pages,
    manual_pages,
    metrics,
    notice_pages,
    pages,
    payout_pages,
    playground_pages,
    probes,
    public_pages,
    request_pages,
    second_factor,
    statement_pages,
)

PUBLIC = {"authentication_classes": [], "permission_classes": [AllowAny]}

urlpatterns = [
    path("favicon.ico", RedirectView.as_view(url="/static/img/logo.svg")),  # for pages that name no icon
    path("healthz", probes.healthz),
    path("readyz", probes.readyz),
    path("metrics", metrics.metrics),
    # ---------------------------------------------------------------------- pages; hosters' are in hosting.urls
    path("", public_pages.landing, name="landing"),
    path("live", public_pages.live, name="live"),
    path("models", public_pages.models, name="models"),
    path("models/<path:model_id>", public_pages.model, name="model"),
    path("status", public_pages.status, name="status"),
    path("docs", manual_pages.contents, name="manual"),
    path("docs/<slug:name>", manual_pages.chapter, name="chapter"),
    path("join", join_pages.join, name="join"),
    path("join/code", join_pages.code, name="join_code"),
    path("join/<str:ticket>", join_pages.link, name="join_link"),
    path("account", account_pages.overview, name="account"),
    path("account/requests", request_pages.log, name="requests"),
    path("account/requests.csv", request_pages.csv, name="requests_csv"),
    path("account/requests/<str:request_id>", request_pages.receipt, name="receipt"),
    path("account/requests/<str:request_id>/dispute", dispute_pages.dispute, name="dispute"),
    path("account/disputes", dispute_pages.listing, name="disputes"),
    path("account/playground", playground_pages.playground, name="playground"),
    path("account/playground/key", playground_pages.key, name="playground_key"),
    path("account/keys/new", key_pages.new, name="new_key"),
    path("account/keys/<int:key_id>/edit", key_pages.edit, name="edit_key"),
    path("account/keys/<int:key_id>/rotate", key_pages.rotate, name="rotate_key"),
    path("account/keys/<int:key_id>/end", key_pages.end_grace, name="end_grace"),
    path("account/keys/<int:key_id>/revoke", key_pages.revoke, name="revoke_key"),
    path("hosters/portal", pages.portal, name="portal"),
    path("account/notices", notice_pages.notices, name="notices"),
    path("account/notices/test", notice_pages.change, {"what": "test"}, name="test_webhook"),
    path("account/notices/stop", notice_pages.change, {"what": "stop"}, name="stop_webhook"),
    path("account/credit", credit_pages.credit, name="credit"),
    path("account/credit/automatic", credit_pages.automatic, name="recharge"),
    path("account/credit/<uuid:topup_id>", credit_pages.topup, name="topup"),
    path("hosters/payouts", payout_pages.listed, name="payouts"),
    path("hosters/payouts/stripe", payout_pages.stripe_account, name="stripe_account"),
    path("hosters/payouts/<uuid:payout_id>/cancel", payout_pages.cancel, name="cancel_payout"),
    path("account/statements", statement_pages.listed, name="statements"),
    path("account/statements/<str:month>.csv", statement_pages.csv, name="statement_csv"),
    path("account/statements/<str:month>", statement_pages.month, name="statement"),
    path("hosters/statements", statement_pages.hoster_listed, name="hoster_statements"),
    path("hosters/statements/<str:month>.csv", statement_pages.hoster_csv, name="hoster_statement_csv"),
    path("hosters/statements/<str:month>", statement_pages.hoster_month, name="hoster_statement"),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("accounts/2fa/totp/activate/", second_factor.Activate.as_view()),  # allauth's, and it counts at once
    path("accounts/email/", email_pages.Addresses.as_view()),  # allauth's, with our rule for the main one
    path("accounts/login/code/confirm/", join_pages.ConfirmCode.as_view()),  # allauth's, with our words
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
