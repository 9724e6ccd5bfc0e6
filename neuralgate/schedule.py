"""Every periodic job on one page: what runs, how often, and why."""

import json
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction

NAME_PREFIX = "neuralgate: "
MINUTE_S = 60
PRICES_EVERY_S = 15
WEBHOOKS_EVERY_S = 20
MAILS_EVERY_S = 20
HOUR_S = 3_600
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Job:
    """A task by its name, the seconds between two runs, and the reason somebody reads in the admin."""

    task: str
    every_s: int
    why: str
    kwargs: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return NAME_PREFIX + self.task


def jobs() -> tuple[Job, ...]:
    return (
        Job(
            "billing.tasks.release_pending_credits",
            min(MINUTE_S, max(1, settings.EARNINGS_HOLD_S // 2)),
            "Earnings whose waiting time is over go to the hosters' customer accounts.",
        ),
        Job(
            "billing.tasks.void_expired_holds",
            settings.SWEEP_EVERY_S,
            "A hold past its expiry belongs to nobody: the customer gets the credit back.",
        ),
        Job(
            "routing.tasks.audit_ledger",
            settings.AUDIT_EVERY_S,
            "Recompute the books from the transfers and report every difference.",
        ),
        Job(
            "billing.tasks.make_partitions",
            DAY_S,
            "Charges and requests are kept by month: three months are made ahead.",
            {"tables": ["billing_charge", "routing_inferencerequest"]},
        ),
        Job(
            "accounts.tasks.forget_sessions",
            HOUR_S,
            "Browsers that were signed in, or began to join, longer ago than a session lives.",
        ),
        Job(
            "billing.tasks.forget_rate_windows",
            HOUR_S,
            "Counters of minutes and days that no limit looks at any more.",
        ),
        Job(
            "billing.tasks.forget_idempotency_keys",
            10 * MINUTE_S,
            "Idempotency-Keys and the answers kept with them live for 24 hours.",
        ),
        Job(
            "billing.tasks.recharge_low_credit",
            MINUTE_S,
            "A customer's kept card is charged when the credit runs low, if the customer wishes so.",
        ),
        Job(
            "billing.tasks.settle_open_topups",
            5 * MINUTE_S,
            "An event of Stripe's may be lost: it is asked about payments that nothing was heard of for 10 minutes.",
        ),
        Job(
            "billing.tasks.look_for_refunds",
            6 * HOUR_S,
            "Refunds and chargebacks of the last 30 days, in case that their events were lost.",
        ),
        Job(
            "billing.tasks.send_stripe_payouts",
            MINUTE_S,
            "Approved payouts by Stripe leave the house; what is unclear is asked again.",
        ),
        Job(
            "billing.tasks.tell_about_spending",
            MINUTE_S,
            "Customers are told when a key has used 50, 80 or 100 % of its spending limit.",
        ),
        Job(
            "hosting.tasks.send_webhooks",
            WEBHOOKS_EVERY_S,
            "Notices of money go to the webhooks of customers who have one; what fails is tried again.",
        ),
        Job(
            "billing.tasks.send_mails",
            MAILS_EVERY_S,
            "Notices of money are sent by mail: disputes, payouts, releases.",
        ),
        Job(
            "billing.tasks.tell_released",
            HOUR_S,
            "Hosters are told once a day what became spendable the day before; each hour, so that no day is missed.",
        ),
        Job(
            "hosting.tasks.check_health",
            settings.HEALTH_EVERY_S,
            "GET /health of every server: what health scores, and with them traffic, react to.",
        ),
        Job(
            "hosting.tasks.apply_prices",
            PRICES_EVERY_S,
            "A new price waits for PRICE_DELAY_S before it is asked; nobody is surprised by a rise.",
        ),
        Job(
            "routing.tasks.void_holds_of_dead_processes",
            settings.SWEEP_EVERY_S,
            "A web process without a heartbeat serves nobody: its customers get their holds back.",
        ),
        Job(
            "hosting.tasks.tell_about_errors",
            MINUTE_S,
            "A hoster whose server fails above 20 % of its requests in 30 minutes is told, and so are the admins.",
        ),
        Job(
            "routing.tasks.ask_questions",
            15,
            "Questions of the bank that are due: five for each model of each server in CONSISTENCY_EVERY_S, at random.",
        ),
        Job(
            "routing.tasks.watch_claims",
            MINUTE_S,
            "Who claims more tokens for the same text than the others do is on probation, and the excess goes back.",
        ),
        Job(
            "routing.tasks.watch_answers",
            5 * MINUTE_S,
            "Hosters are warned when many answers look wrong: too fast, cut short, repeated, of a changed model.",
        ),
        Job(
            "routing.tasks.judge_hosters",
            10 * MINUTE_S,
            "Trust, from what was recorded of each hoster. It is slow, so this need not be quick.",
        ),
        Job(
            "routing.tasks.reverse_convicted_earnings",
            MINUTE_S,
            "What a convicted server earned and was not released yet goes back to the customers.",
        ),
        Job(
            "routing.tasks.learn_token_sizes",
            MINUTE_S,
            "How many bytes a token of each model has, to judge what servers claim.",
        ),
        Job(
            "routing.tasks.measure_offers",
            MINUTE_S,
            "How fast each offer answered in the last day and how long its server was up: customers choose by it.",
        ),
        Job(
            "routing.tasks.count_outcomes",
            MINUTE_S,
            "How requests ended, by hour: the status page reads it, and sees by its age whether jobs run at all.",
        ),
    )


def install() -> None:
    """Write the jobs into beat's tables; jobs that left this page leave the tables. Safe to call again.

    A job that the admin switched off stays off. A message expires when the next one is due, so that a worker
    that was away does not find a heap.
    """
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    wanted = jobs()
    with transaction.atomic():
        for job in wanted:
            interval, _ = IntervalSchedule.objects.get_or_create(
                every=job.every_s, period=IntervalSchedule.SECONDS
            )
            PeriodicTask.objects.update_or_create(
                name=job.name,
                defaults={
                    "task": job.task,
                    "interval": interval,
                    "crontab": None,
                    "kwargs": json.dumps(job.kwargs),
                    "expire_seconds": max(job.every_s, MINUTE_S),
                    "description": job.why,
                },
            )
        left = PeriodicTask.objects.filter(name__startswith=NAME_PREFIX)
        left.exclude(name__in=[job.name for job in wanted]).delete()
