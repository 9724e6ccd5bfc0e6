"""The admin's sidebar: what an operator looks for, in five groups, each entry only for who may see it."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

GROUPS: dict[str, tuple[tuple[str, str, str], ...]] = {  # (words, material symbol, app.model)
    "Money": (
        ("Disputes", "balance", "billing.dispute"),
        ("Payouts", "payments", "billing.payout"),
        ("Top-ups", "add_card", "billing.topup"),
        ("Ledger accounts", "account_balance", "billing.ledgeraccount"),
        ("Transfers", "swap_horiz", "billing.transfer"),
        ("Charges", "receipt_long", "billing.charge"),
        ("Maturities", "hourglass_top", "billing.maturity"),
        ("Debts of hosters", "money_off", "billing.debt"),
        ("Automatic top-ups", "autorenew", "billing.recharge"),
        ("Notices", "mail", "billing.notice"),
        ("Audits", "fact_check", "routing.auditrun"),
    ),
    "Hosting": (
        ("Hosters", "storefront", "hosting.hoster"),
        ("Servers", "dns", "hosting.server"),
        ("Hosted models", "neurology", "hosting.hostedmodel"),
        ("Moderation actions", "gavel", "hosting.moderationaction"),
        ("Question bank", "quiz", "hosting.question"),
        ("Test answers", "rule", "hosting.consistencyanswer"),
        ("Health checks", "monitor_heart", "hosting.healthcheck"),
        ("Circuits", "electrical_services", "hosting.circuit"),
    ),
    "Accounts": (
        ("Customers", "groups", "accounts.customer"),
        ("Users", "person", "accounts.user"),
        ("API keys", "key", "accounts.apikey"),
        ("Tiers", "speed", "accounts.tier"),
        ("Second factors", "security_key", "mfa.authenticator"),
        ("Sessions", "devices", "usersessions.usersession"),
        ("Groups of staff", "admin_panel_settings", "auth.group"),
    ),
    "Routing": (
        ("Requests", "list_alt", "routing.inferencerequest"),
        ("Usage by hour", "query_stats", "routing.usagehour"),
        ("Servers by hour", "bar_chart", "routing.offerhour"),
        ("Outcomes by hour", "monitoring", "routing.outcomehour"),
        ("Payers by day", "calendar_month", "routing.payerday"),
        ("Pool of auto", "shuffle", "hosting.automodel"),
        ("Web processes", "memory", "routing.gatewayprocess"),
        ("Rate windows", "timer", "billing.ratewindow"),
        ("Spend windows", "savings", "billing.spendwindow"),
    ),
    "Jobs": (
        ("Periodic tasks", "schedule", "django_celery_beat.periodictask"),
        ("Intervals", "update", "django_celery_beat.intervalschedule"),
        ("Crontabs", "event_repeat", "django_celery_beat.crontabschedule"),
    ),
}


def groups(request: HttpRequest) -> list[dict[str, Any]]:
    """unfold's form of it."""
    home = {
        "title": "",
        "items": [
            {"title": "Dashboard", "icon": "dashboard", "link": reverse("admin:index")},
            {"title": "Moderation queue", "icon": "inbox", "link": reverse("admin:moderation_queue")},
        ],
    }
    return [
        home,
        *(
            {
                "title": title,
                "collapsible": True,
                "items": [_item(request, *entry) for entry in entries if _may(request, entry[2])],
            }
            for title, entries in GROUPS.items()
        ),
    ]


def _item(request: HttpRequest, words: str, symbol: str, label: str) -> dict[str, Any]:
    return {"title": words, "icon": symbol, "link": reverse(f"admin:{label.replace('.', '_')}_changelist")}


def _may(request: HttpRequest, label: str) -> bool:
    app, model = label.split(".")
    return any(request.user.has_perm(f"{app}.{what}_{model}") for what in ("view", "change"))
