"""Routes of the market."""

from django.urls import path

from hosting import api

urlpatterns = [
    path("v1/models", api.Models.as_view()),
    path("v1/models/<path:model_id>", api.Model.as_view()),
]
