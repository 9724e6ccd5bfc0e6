"""The periodic job of accounts. It may run twice, late or concurrently."""

from allauth.usersessions.models import UserSession
from celery import shared_task
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef
from django.utils import timezone


@shared_task
def forget_sessions() -> int:
    """Delete sessions that expired, and what was noted of browsers whose session is gone; how many sessions."""
    forgotten, _ = Session.objects.filter(expire_date__lt=timezone.now()).delete()
    UserSession.objects.filter(~Exists(Session.objects.filter(pk=OuterRef("session_key")))).delete()
    return forgotten
