"""The periodic jobs of hosting. Each may run twice, late or concurrently."""

import asyncio

import structlog
from celery import shared_task

from hosting import errors, health, prices, webhooks

JITTER_S = 5.0  # so that servers cannot tell the rhythm of checks from requests, nor are asked all at once

log = structlog.get_logger(__name__)


@shared_task
def check_health(jitter_s: float = JITTER_S) -> int:
    """Look at every verified server and move its health score; how many were not well."""
    targets, unreadable = health.targets()
    looks = asyncio.run(health.look_at_all(targets, jitter_s=jitter_s)) + unreadable
    health.record(looks)
    health.forget_old()
    unwell = [look for look in looks if not look.ok]
    for look in unwell:
        log.info("server unwell", server=look.server_id, error=look.error)
    return len(unwell)


@shared_task
def tell_about_errors() -> int:
    """Tell hosters of servers that fail above 20 % of their requests; how many servers."""
    return errors.tell()


@shared_task
def apply_prices() -> int:
    """Make new prices current whose wait is over; how many."""
    return prices.apply_due()


@shared_task
def send_webhooks() -> int:
    """Deliver notices to customers' webhooks; how many arrived."""
    return webhooks.send_due()
