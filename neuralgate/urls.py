"""Every route that Django serves; the three inference routes never get here (see asgi.py)."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

from accounts import api
from neuralgate import key_pages, pages, probes, second_factor

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
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("accounts/2fa/totp/activate/", second_factor.Activate.as_view()),  # allauth's, and it counts at once
    path("accounts/", include("allauth.urls")),
    # ---------------------------------------------------------------------- the API
    path("v1/openapi.json", SpectacularJSONAPIView.as_view(**PUBLIC), name="openapi"),
    path("v1/docs", SpectacularSwaggerSplitView.as_view(url_name="openapi", **PUBLIC)),
    path("", include("routing.urls")),
    path("", include("hosting.urls")),
    re_path(r"^v1/", api.nothing_here),
]

handler400 = api.bad_request
handler404 = api.page_not_found
handler500 = api.server_error
