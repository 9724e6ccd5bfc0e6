"""The market in the admin: everything to see, no token, no address to edit."""

import pytest
from django.test import Client

from accounts.models import User
from hosting import tokens
from hosting.models import HealthCheck, Server
from tests import factories
from tests.ports import ports


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(
        User.objects.create_superuser(f"{factories.unique('admin')}@example.org", "correct horse")
    )
    return client


def test_every_page_opens_and_no_token_is_shown(admin: Client) -> None:
    server, offer = factories.server(f"http://127.0.0.1:{next(ports)}", token="bobs-own-token")
    HealthCheck.objects.create(server=server, ok=False, latency_ms=3, error="GET /health: no connection")
    sealed = Server.objects.get(pk=server.pk).token_encrypted
    for path in (
        *("hoster/", "server/", "hostedmodel/", "healthcheck/"),
        *(
            f"hoster/{server.hoster_id}/change/",
            f"server/{server.pk}/change/",
            f"hostedmodel/{offer.pk}/change/",
        ),
    ):
        page = admin.get(f"/admin/hosting/{path}")
        assert page.status_code == 200, path
        assert sealed not in page.content.decode()
        assert "bobs-own-token" not in page.content.decode()


def test_an_address_cannot_be_pointed_elsewhere(admin: Client) -> None:
    server, _ = factories.server(f"http://127.0.0.1:{next(ports)}", token="bobs-own-token")
    form = {
        **{
            "name": "renamed",
            "slots": "3",
            "base_url": "http://evil.example.org",
            "kind": "cloud",
            "health": "1",
        },
        **{"models-TOTAL_FORMS": "0", "models-INITIAL_FORMS": "0"},
    }
    assert admin.post(f"/admin/hosting/server/{server.pk}/change/", form).status_code == 302
    saved = Server.objects.get(pk=server.pk)
    assert (saved.name, saved.slots) == ("renamed", 3)
    assert (saved.base_url, saved.kind) == (server.base_url, "hoster")
    assert tokens.unseal(server_id=saved.pk, sealed=saved.token_encrypted) == "bobs-own-token"


@pytest.mark.parametrize("path", ["hoster/add/", "server/add/", "hostedmodel/add/", "healthcheck/add/"])
def test_nothing_is_added_past_registration(admin: Client, path: str) -> None:
    assert admin.get(f"/admin/hosting/{path}").status_code == 403
