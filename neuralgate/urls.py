"""Every route that Django serves; the three inference routes never get here (see asgi.py)."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView
from rest_framework.permissions import AllowAny

from accounts import api
from neuralgate import probes

PUBLIC = {"authentication_classes": [], "permission_classes": [AllowAny]}

urlpatterns = [
    path("healthz", probes.healthz),
    path("readyz", probes.readyz),
    # ---------------------------------------------------------------------- pages: /, /account, /hosters…
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    # ---------------------------------------------------------------------- the API
    path("v1/openapi.json", SpectacularJSONAPIView.as_view(**PUBLIC), name="openapi"),
    path("v1/docs", SpectacularSwaggerView.as_view(url_name="openapi", **PUBLIC)),
    path("", include("routing.urls")),
    path("", include("hosting.urls")),
    re_path(r"^v1/", api.nothing_here),
]

handler400 = api.bad_request
handler404 = api.page_not_found
handler500 = api.server_error
