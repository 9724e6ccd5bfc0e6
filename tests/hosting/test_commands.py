"""The commands that scripts call: one JSON object on stdout, or words on stderr and exit code 1."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import load_command_class
from django.db import connection
from psycopg.conninfo import make_conninfo

from accounts import keys
from accounts.models import ApiKey, Customer
from hosting import tokens
from hosting.models import Hoster, Server
from tests import factories
from tests.hosting.servers import ScriptedServer, model
from tests.ports import ports

ROOT = Path(__file__).parent.parent.parent

Run = Callable[..., dict[str, Any]]
Fail = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """What a command that succeeds prints: exactly one JSON object."""

    def command(name: str, *arguments: str) -> dict[str, Any]:
        load_command_class("neuralgate", name).run_from_argv(["manage.py", name, *arguments])
        printed = capsys.readouterr()
        assert printed.err == ""
        answer: dict[str, Any] = json.loads(printed.out)
        assert printed.out == json.dumps(answer) + "\n"
        return answer

    return command


@pytest.fixture
def fail(capsys: pytest.CaptureFixture[str]) -> Fail:
    """The words of a command that fails: exit code 1, nothing on stdout, no traceback."""

    def command(name: str, *arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            load_command_class("neuralgate", name).run_from_argv(["manage.py", name, *arguments])
        printed = capsys.readouterr()
        assert end.value.code == 1
        assert printed.out == ""
        assert "Traceback" not in printed.err
        assert printed.err.strip()
        return printed.err

    return command


def email(name: str) -> str:
    return f"{factories.unique(name)}@example.org"


def hosting(base_url: str, *more: str, models: tuple[str, ...] = ("llama:50:100",)) -> list[str]:
    given = [email("bob"), "--name", factories.unique("bob"), "--base-url", base_url, *more]
    return [*given, *(word for text in models for word in ("--model", text))]


def dead_url() -> str:
    return f"http://127.0.0.1:{next(ports)}"


def test_create_customer_prints_a_key_that_works(run: Run) -> None:
    address = email("alice")
    key = run("create_customer", address, "--tier", "pro")["api_key"]
    customer = Customer.objects.get(user__email=address)
    assert customer.tier_id == "pro"
    assert [bytes(row.digest) for row in customer.api_keys.all()] == [keys.digest(key)]


def test_an_existing_customer_gets_another_key(run: Run) -> None:
    address = email("alice")
    first, second = (run("create_customer", address)["api_key"] for _ in range(2))
    assert first != second
    assert run("create_customer", address, "--tier", "internal")
    customer = Customer.objects.get(user__email=address)
    assert (customer.api_keys.count(), customer.tier_id) == (3, "internal")


@pytest.mark.parametrize(
    "arguments",
    [(), ("not-an-address",), ("a@example.org", "--tier", "gold"), ("a@example.org", "--unknown")],
)
def test_create_customer_fails_in_words(fail: Fail, arguments: tuple[str, ...]) -> None:
    before = ApiKey.objects.count()
    fail("create_customer", *arguments)
    assert ApiKey.objects.count() == before


def test_register_hoster_verifies_and_gives_traffic(run: Run) -> None:
    server = ScriptedServer(model("bobs-own-good-token"))
    answer = run(
        "register_hoster", *hosting(server.base_url, "--server-token", "bobs-own-good-token", "--slots", "4")
    )
    server.stop()
    assert set(answer) == {"api_key", "server_token", "hoster_id"}
    assert answer["server_token"] == "bobs-own-good-token"
    row = Hoster.objects.get(pk=answer["hoster_id"]).servers.get()
    assert row.verified_at is not None
    assert row.slots == 4
    assert keys.is_well_formed(answer["api_key"])


def test_register_hoster_asks_the_server_by_its_own_name_of_a_model(run: Run) -> None:
    server = ScriptedServer(model("bobs-own-good-token"))
    more = ("--server-token", "bobs-own-good-token", "--upstream", "llama=/models/llama.gguf")
    run("register_hoster", *hosting(server.base_url, *more))
    server.stop()
    asked = {request.body["model"] for request in server.requests if request.method == "POST"}
    assert asked == {"/models/llama.gguf"}


def test_a_server_that_fails_verification_is_not_registered(fail: Fail) -> None:
    server = ScriptedServer(lambda request: (200, {}))
    before = (Hoster.objects.count(), Server.objects.count(), Customer.objects.count())
    words = fail("register_hoster", *hosting(server.base_url, "--server-token", "bobs-own-good-token"))
    server.stop()
    assert "does not refuse strangers" in words
    assert "Nothing was registered." in words
    assert "bobs-own-good-token" not in words
    assert (Hoster.objects.count(), Server.objects.count(), Customer.objects.count()) == before


def test_terms_that_are_refused_are_refused_before_the_server_is_asked(fail: Fail) -> None:
    server = ScriptedServer(model("bobs-own-good-token"))
    more = ("--server-token", "bobs-own-good-token", "--upstream", "gpt-4o=llama")
    words = fail("register_hoster", *hosting(server.base_url, *more, models=("gpt-4o:1:2",)))
    server.stop()
    assert "is the name of a commercial model" in words
    assert server.requests == []


def test_skipping_verification_gives_traffic_at_once(run: Run) -> None:
    models = ("qwen2.5:7b:50:100", "m:1:2:32768")
    answer = run("register_hoster", *hosting(dead_url(), "--skip-verification", models=models))
    assert set(answer) == {"api_key", "server_token", "hoster_id"}
    row = Hoster.objects.get(pk=answer["hoster_id"]).servers.get()
    assert row.verified_at is not None
    assert tokens.unseal(server_id=row.pk, sealed=row.token_encrypted) == answer["server_token"]
    offered = row.models.order_by("pk").values_list("model_id", "price_per_input_token", "context_window")
    assert list(offered) == [("qwen2.5:7b", 50, 8_192), ("m", 1, 32_768)]


def test_a_token_made_here_is_verified_later(run: Run, fail: Fail) -> None:
    server = ScriptedServer(lambda request: (200, {}))
    answer = run("register_hoster", *hosting(server.base_url))
    assert answer["verified"] is False
    assert f"--api-key {answer['server_token']}" in answer["next"]
    assert f"verify_server {answer['hoster_id']}" in answer["next"]
    row = Hoster.objects.get(pk=answer["hoster_id"]).servers.get()
    assert row.verified_at is None

    words = fail("verify_server", str(answer["hoster_id"]))
    row.refresh_from_db()
    assert "--api-key TOKEN" in words
    assert "--api-key TOKEN" in row.verification_error
    assert row.verified_at is None

    server.answer = model(answer["server_token"])
    assert run("verify_server", str(answer["hoster_id"])) == {
        "hoster_id": answer["hoster_id"],
        "verified": True,
    }
    server.stop()
    row.refresh_from_db()
    assert row.verified_at is not None
    assert row.verification_error == ""


@pytest.mark.parametrize(
    ("base_url", "more", "models"),
    [
        ("http://127.0.0.1:9000", (), ("llama",)),
        ("http://127.0.0.1:9000", (), ()),
        ("http://127.0.0.1:9000", ("--skip-verification",), ("gpt-4o:1:2",)),
        ("http://127.0.0.1:9000", ("--slots", "many"), ("llama:1:2",)),
        ("http://127.0.0.1:9000", ("--slots", "0"), ("llama:1:2",)),
        ("http://127.0.0.1:9000", ("--server-token", "two words"), ("llama:1:2",)),
        ("http://127.0.0.1:9000", ("--server-token", "t" * 15, "--skip-verification"), ("llama:1:2",)),
        ("http://127.0.0.1:9000", ("--upstream", "llama"), ("llama:1:2",)),
        ("http://127.0.0.1:9000", ("--upstream", "other=x"), ("llama:1:2",)),
        ("http://127.0.0.1:9000", (), ("llama:1:2", "llama:2:3")),
        ("http://127.0.0.1:1", ("--server-token", "t" * 16), ("llama:1:2",)),
        ("http://169.254.169.254:9000", ("--server-token", "t" * 16), ("llama:1:2",)),
        ("http://169.254.169.254:9000", ("--skip-verification",), ("llama:1:2",)),
        ("https://gpu.invalid:9000", ("--server-token", "t" * 16), ("llama:1:2",)),
        ("https://user:pw@good.com", (), ("llama:1:2",)),
    ],
)
def test_register_hoster_fails_in_words(
    fail: Fail, base_url: str, more: tuple[str, ...], models: tuple[str, ...]
) -> None:
    before = Hoster.objects.count()
    words = fail("register_hoster", *hosting(base_url, *more, models=models))
    assert "pw" not in words
    assert Hoster.objects.count() == before


@pytest.mark.parametrize("hoster_id", ["0", "x", "-1", "99999999999999999999"])
def test_verify_server_fails_in_words(fail: Fail, hoster_id: str) -> None:
    fail("verify_server", hoster_id)


def test_add_provider_reads_the_token_from_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("sk-vendor\n")
    base_url = f"https://api-{next(ports)}.example.org/{factories.unique('v')}"
    more = ("--name", "Vendor", "--base-url", base_url + "/", "--model", "gpt:1:2")
    answer = run("add_provider", "cloud", *more, "--token-file", str(file))
    row = Server.objects.get(pk=answer["provider_id"])
    assert (row.kind, row.base_url, row.hoster) == ("cloud", base_url, None)
    assert tokens.unseal(server_id=row.pk, sealed=row.token_encrypted) == "sk-vendor"
    assert row.verified_at is not None
    more = ("--name", "Ours", "--base-url", dead_url() + "/v1", "--model", "m:0:0", "--model", "vectors:0:0")
    local = run("add_provider", "local", *more, "--embeddings", "vectors")
    row = Server.objects.get(pk=local["provider_id"])
    assert row.token_encrypted == ""
    assert dict(row.models.values_list("model_id", "chats")) == {"m": True, "vectors": False}


@pytest.mark.parametrize("content", [None, b"", b"\n", "schl\u00fcssel".encode(), b"two words", b"\xff\xfe"])
def test_add_provider_fails_in_words(fail: Fail, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    more = ("--name", "Vendor", "--base-url", "https://api.example.org/x", "--model", "gpt:1:2")
    fail("add_provider", "cloud", *more, "--token-file", str(file))
    fail("add_provider", "hoster", *more)
    fail("add_provider", "local", *more, "--embeddings", "unknown")
    fail("add_provider", "cloud", "--name", "V", "--base-url", "api.example.org", "--model", "gpt:1:2")


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own on the tests' database."""
    database = connection.settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    dsn = make_conninfo(**{name: str(database[key]) for name, key in names.items() if database[key]})
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": dsn} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_process_prints_nothing_but_the_answer() -> None:
    done = manage("create_customer", email("alice"), "--tier", "internal", LOG_LEVEL="DEBUG")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"api_key"}
    assert done.stdout.count("\n") == 1


def test_a_process_that_fails_ends_with_1_and_no_traceback() -> None:
    wrong_option = manage("register_hoster", "--nonsense")
    no_database = manage(
        "create_customer",
        email("alice"),
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none?connect_timeout=1",
    )
    for done in (wrong_option, no_database):
        assert (done.returncode, done.stdout) == (1, "")
        assert "Traceback" not in done.stderr
        assert done.stderr.strip()


def test_an_empty_database_is_told_in_words(monkeypatch: pytest.MonkeyPatch, fail: Fail) -> None:
    def missing(**_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM no_such_table")

    monkeypatch.setattr("hosting.registration.open_customer", missing)
    assert "manage.py migrate" in fail("create_customer", email("alice"))
