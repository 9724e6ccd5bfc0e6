"""A customer's latest requests, one by one. No prompt, no answer: none is kept."""

from accounts.models import Customer
from routing.models import InferenceRequest

ROWS_MAX = 100


def latest(customer: Customer) -> list[InferenceRequest]:
    """The last ROWS_MAX requests, the newest first; reads routing_inferencerequest_customer backwards."""
    return list(customer.inferencerequest_set.select_related("key").order_by("-id")[:ROWS_MAX])
