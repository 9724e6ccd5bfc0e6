"""`.env.example` lists every setting, with the default that the code has."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from neuralgate import settings

ROOT = Path(__file__).resolve().parent.parent
READERS = {"text", "number", "flag", "words", "link", "secret"}
LISTED = re.compile(r"^#([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
DERIVED = {"DATA_DIR", "PUBLIC_URL", "ALLOWED_HOSTS", "DEFAULT_FROM_EMAIL"}
MADE = {"SECRET_KEY", "FERNET_KEY"}


def read_by_settings() -> dict[str, str]:
    """Name → default, of every call of a reader with a name."""
    known: dict[str, str] = {}
    for node in ast.walk(ast.parse(Path(settings.__file__).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in READERS:
            name, *rest = node.args
            if isinstance(name, ast.Constant):
                value = eval(ast.unparse(rest[0]), vars(settings).copy()) if rest else ""
                known[name.value] = str(int(value)) if isinstance(value, bool | int) else value
                if node.func.id == "flag" and not rest:
                    known[name.value] = "0"
    return known


def listed() -> dict[str, str]:
    return dict(LISTED.findall((ROOT / ".env.example").read_text()))


def test_every_setting_is_listed_and_nothing_else():
    assert sorted(listed()) == sorted(read_by_settings())


def test_the_listed_defaults_are_those_of_the_code():
    of_code = {name: value for name, value in read_by_settings().items() if name not in DERIVED | MADE}
    assert {name: listed()[name] for name in of_code} == of_code


def test_only_settings_read_the_environment_of_the_product():
    readers = [
        str(file.relative_to(ROOT))
        for app in ("accounts", "billing", "hosting", "routing")
        for file in (ROOT / app).rglob("*.py")
        if re.search(r"os\.environ|os\.getenv", file.read_text())
    ]
    assert readers == []


def test_a_secret_is_made_once_and_read_by_its_owner_only(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    monkeypatch.delenv("SECRET_KEY", raising=False)
    first = settings.secret("SECRET_KEY")
    assert len(first) >= 50
    assert settings.secret("SECRET_KEY") == first
    files = list((tmp_path / "secrets").iterdir())
    assert [(file.name, file.stat().st_mode & 0o777) for file in files] == [("secret_key", 0o600)]


@pytest.mark.parametrize(("reader", "value"), [("number", "many"), ("flag", "maybe")])
def test_a_wrong_value_is_one_plain_sentence(reader: str, value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("A_SETTING", value)
    with pytest.raises(SystemExit, match=r"^A_SETTING must be .*, not '"):
        getattr(settings, reader)("A_SETTING", 0)


def test_a_link_leads_to_a_page(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERMS_URL", "javascript:alert(1)")
    with pytest.raises(SystemExit, match="TERMS_URL must be a path like /terms, or begin with https://"):
        settings.link("TERMS_URL")
    monkeypatch.setenv("TERMS_URL", "https://example.org/terms")
    assert settings.link("TERMS_URL") == "https://example.org/terms"


def test_a_token_for_metrics_that_could_be_guessed_is_refused():
    environment = {**os.environ, "METRICS_TOKEN": "short"}
    made = subprocess.run(
        [sys.executable, "-c", "import neuralgate.settings"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 1
    assert made.stderr.startswith("METRICS_TOKEN must have at least 40 characters")
