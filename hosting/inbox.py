"""What of the market waits for a person: answers of hosters, restricted hosters, retests, unverified servers."""

from django.db.models import Exists, OuterRef, QuerySet

from hosting.models import HostedModel, Hoster, ModerationAction, Server


def answers() -> QuerySet[ModerationAction]:
    """What hosters answered, until a person does something to that hoster or tells it something."""
    settled = ModerationAction.objects.filter(
        hoster=OuterRef("hoster"), actor__isnull=False, created_at__gt=OuterRef("answered_at")
    )
    return ModerationAction.objects.filter(~Exists(settled), answered_at__isnull=False)


def restricted() -> QuerySet[Hoster]:
    """Hosters that get less traffic than they would, or none."""
    return Hoster.objects.filter(
        status__in=[Hoster.Status.PROBATION, Hoster.Status.SUSPENDED, Hoster.Status.DEACTIVATED]
    )


def retests() -> QuerySet[HostedModel]:
    """Models off the market whose owners ask for a new test."""
    return HostedModel.objects.filter(deactivated_at__isnull=False, retest_at__isnull=False)


def unverified() -> QuerySet[Server]:
    """Servers of hosters that have not passed their check."""
    return Server.objects.filter(kind=Server.Kind.HOSTER, verified_at__isnull=True)
