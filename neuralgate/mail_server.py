"""Whether this installation can send mail: pages that say “look at your mail” say where else to look if it cannot."""

from django.conf import settings
from django.http import HttpRequest


def context(request: HttpRequest) -> dict[str, bool]:
    """For every template."""
    return {"has_mail": bool(settings.EMAIL_HOST)}
