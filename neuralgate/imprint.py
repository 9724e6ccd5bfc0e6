"""Who runs this installation and on what terms: linked at the foot of every page, as far as the operator says it."""

from django.conf import settings
from django.http import HttpRequest


def context(request: HttpRequest) -> dict[str, str]:
    """For every template."""
    return {
        "contact_email": settings.CONTACT_EMAIL,
        "terms_url": settings.TERMS_URL,
        "privacy_url": settings.PRIVACY_URL,
    }
