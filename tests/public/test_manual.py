"""The manual on the web is the repository's, and what it shows can be pasted."""

import re

import pytest
from django.test import Client

from neuralgate import manual, shell_sessions
from routing.preferences import ROUTING_FIELDS
from tests.test_docs import FENCE, slug


@pytest.mark.parametrize("name", manual.CHAPTERS)
def test_every_chapter_is_there_with_its_contents_and_working_links(name: str):
    response = Client().get(f"/docs/{name}")
    assert response.status_code == 200
    page = response.content.decode()
    anchors = set(re.findall(r' id="([^"]+)"', page))
    for anchor in re.findall(r'href="#([^"]+)"', page):
        assert anchor in anchors
    for target, anchor in re.findall(r'href="/docs/(\w+)#([^"]+)"', page):
        assert f'id="{anchor}"' in manual.text(target).html
    assert not re.search(r'href="[^"]*\.md', page)
    assert page.count('class="code"') == page.count("data-copy=")


def test_every_chapter_is_listed_and_what_is_not_one_is_not_there():
    contents = Client().get("/docs").content.decode()
    assert all(f'href="/docs/{name}"' in contents for name in manual.CHAPTERS)
    assert Client().get("/docs/nothing").status_code == 404
    assert Client().get("/docs/decisions").status_code == 404


def test_the_reference_is_the_repositorys_text():
    page = manual.text("api").html
    assert all(field in page for field in ROUTING_FIELDS)
    source = (manual.FOLDER / "api.md").read_text()
    for heading in re.findall(r"^##+ (.+)$", FENCE.sub("", source), re.MULTILINE):
        assert f'id="{slug(heading)}"' in page


def test_examples_have_this_installations_address(settings):
    settings.PUBLIC_URL = "https://gate.example"
    manual.text.cache_clear()
    try:
        for name in ("api", "credits", "quickstart"):
            page = manual.text(name).html
            assert "https://gate.example/v1" in page
            assert "127.0.0.1:8000" not in page
            assert "your-domain" not in page
    finally:
        manual.text.cache_clear()


@pytest.mark.parametrize(
    ("session", "exchanges"),
    [
        ("$ curl x \\\n    -H y\n$ ls", [("curl x \\\n    -H y\nls", "")]),
        ("$ curl -d '{\n  \"a\": 1}'\n$ ls", [("curl -d '{\n  \"a\": 1}'\nls", "")]),
        ("$ python <<END\nprint('x\nEND\n$ ls", [("python <<END\nprint('x\nEND\nls", "")]),
        ("$ ls\na.txt\n\n$ pwd # that's\n/", [("ls", "a.txt"), ("pwd # that's", "/")]),
        ("$ ls", [("ls", "")]),
        ("", []),
    ],
)
def test_a_session_is_told_apart_into_commands_and_answers(session: str, exchanges: list[tuple[str, str]]):
    assert shell_sessions.exchanges(session) == exchanges


@pytest.mark.parametrize("name", manual.CHAPTERS)
def test_what_is_copied_holds_no_prompt(name: str):
    page = manual.text(name).html
    copied = re.findall(r'<pre id="code-\d+" tabindex="0">(.*?)</pre>', page, re.DOTALL)
    assert len(copied) == page.count("data-copy=")
    assert all(copied)
    assert not [text for text in copied if re.search(r"^\$ ", text, re.MULTILINE)]


def test_the_quick_start_registers_what_each_of_its_servers_serves():
    source = (manual.FOLDER / "quickstart.md").read_text()
    (registered,) = re.findall(r'"id": "([^"]+)"', source)
    servers = re.split(r"^### ", source.partition("## 2.")[0], flags=re.MULTILINE)[1:]
    assert len(servers) == 4
    for section in servers:
        assert registered in section, section.splitlines()[0]


def test_a_text_cannot_bring_html_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "api.md").write_text("# T\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) `<b>`\n")
    monkeypatch.setattr(manual, "FOLDER", tmp_path)
    manual.text.cache_clear()
    try:
        page = manual.text("api").html
    finally:
        manual.text.cache_clear()
    assert "<script" not in page
    assert 'href="javascript' not in page
    assert "&lt;b&gt;" in page


@pytest.mark.parametrize("server", ["llama.cpp", "vLLM", "SGLang", "Ollama"])
def test_the_quick_start_has_every_server(server: str):
    assert f'id="{slug(server)}"' in manual.text("quickstart").html
