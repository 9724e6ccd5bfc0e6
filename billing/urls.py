"""Routes of money after a request."""

from django.urls import path

from billing import api, stripe_events

urlpatterns = [
    path("v1/disputes", api.Disputes.as_view()),
    path("v1/payouts", api.Payouts.as_view()),
    path("v1/payouts/<uuid:payout_id>/cancel", api.CancelPayout.as_view()),
    path("stripe/events", stripe_events.receive),
]
