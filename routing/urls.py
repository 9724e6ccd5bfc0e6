"""Accounting routes of /v1. The inference routes are served in front of Django."""

from django.urls import path

from routing import api, statement_api

urlpatterns = [
    path("v1/usage", api.Usage.as_view()),
    path("v1/usage/tokens", api.Tokens.as_view()),
    path("v1/usage/breakdown", api.Breakdown.as_view()),
    path("v1/usage/export", api.usage_export),
    path("v1/requests", api.Requests.as_view()),
    path("v1/requests/<str:request_id>", api.OneRequest.as_view()),
    path("v1/statements", statement_api.Statements.as_view()),
    path("v1/statements/<str:month>.csv", statement_api.csv),
    path("v1/statements/<str:month>", statement_api.OneStatement.as_view()),
    path("v1/earnings", api.Earnings.as_view()),
    path("v1/earnings/by-model", api.EarningsByModel.as_view()),
]
