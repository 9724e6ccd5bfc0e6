"""The demo's people and servers are made once, and its notes are read by their owner only."""

import sys

import pytest
from django.test import Client

from accounts import keys
from accounts.models import ApiKey, User
from hosting.models import Server
from neuralgate.demo import network, people
from neuralgate.demo.notes import Notes, is_free
from neuralgate.management.commands.demo import greeting, listens
from neuralgate.supervisor import Family, Program
from tests import factories


@pytest.fixture
def notes(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Notes:
    """Names of its own, so that two runs on one database do not meet."""
    suffix = factories.unique("")
    monkeypatch.setattr(Notes, "login", lambda self, name, login=Notes.login: login(self, name + suffix))
    simulated = tuple(
        network.Simulated(one.name + suffix, one.kind, one.models, 0, 10_000) for one in network.NETWORK
    )
    monkeypatch.setattr(people, "NETWORK", simulated)
    return Notes.load(tmp_path / "demo.json")


def test_settling_in_twice_makes_everything_once(notes: Notes):
    with Family() as family:
        for simulated in people.NETWORK:
            spec = simulated.spec(port=notes.port(simulated.name), token=notes.token(simulated.name))
            command = (sys.executable, "-m", "neuralgate.demo.simulator")
            family.start(Program(simulated.name, command, env={"SIMULATOR": spec.encode()}))
        assert family.wait_for(lambda: all(map(listens, notes.ports.values())), timeout_s=20)
        people.settle_in(notes)
        first = notes.file.read_text()
        people.settle_in(Notes.load(notes.file))
    assert notes.file.read_text() == first
    servers = Server.objects.filter(name__in=[simulated.name for simulated in people.NETWORK])
    assert servers.count() == len(network.NETWORK)
    assert not servers.filter(verified_at=None).exists()
    admin = next(login for name, login in notes.logins.items() if name.startswith(people.ADMIN))
    assert _opens_the_admin(admin.email, admin.password, admin.codes[0])
    people.settle_in(notes)
    assert _opens_the_admin(admin.email, admin.password, admin.codes[0]), "usable again after a restart"
    for login in notes.logins.values():
        assert User.objects.get(email=login.email).check_password(login.password)
        assert not login.key or ApiKey.objects.filter(digest=keys.digest(login.key)).exists()


def _opens_the_admin(email: str, password: str, code: str) -> bool:
    client = Client()
    client.post("/accounts/login/", {"login": email, "password": password})
    client.post("/accounts/2fa/authenticate/", {"code": code})
    return client.get("/admin/").status_code == 200


def test_the_notes_survive_and_only_their_owner_reads_them(tmp_path):
    notes = Notes.load(tmp_path / "demo.json")
    password, token, port = notes.login("admin").password, notes.token("aurora"), notes.port("aurora")
    again = Notes.load(notes.file)
    assert (again.login("admin").password, again.token("aurora"), again.port("aurora")) == (
        password,
        token,
        port,
    )
    assert notes.file.stat().st_mode & 0o777 == 0o600
    assert is_free(port)
    assert not is_free(0)


def test_the_greeting_has_a_line_to_paste(tmp_path):
    notes = Notes.load(tmp_path / "demo.json")
    for name in (people.ADMIN, people.CUSTOMER, people.HOSTER):
        notes.login(name).key = f"ngk_{name}"
    notes.login(people.ADMIN).codes = ["11112222", "33334444"]
    notes.login(people.ADMIN).secret = "ABCDEFGH"
    shown = greeting(notes, "http://127.0.0.1:8000")
    assert "curl http://127.0.0.1:8000/v1/chat/completions \\\n" in shown
    assert shown.count("ngk_alice") == 3
    assert "one of 11112222 33334444\n" in shown
    assert "the secret ABCDEFGH\n" in shown
    assert all(login.password in shown for login in notes.logins.values())
