"""The pages of `docs/` as chapters on the web: the same text in the repository and on the site.

Rendered once for each process. No HTML of a text is passed on, and its addresses become this installation's own.
"""

import functools
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.html import escape
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from neuralgate import shell_sessions

FOLDER = Path(settings.BASE_DIR) / "docs"
ADDRESSES = ("https://your-domain", "http://127.0.0.1:8000")  # what the texts call an installation
LINK = re.compile(r"(?P<name>[\w-]+)\.md(?P<anchor>#[\w-]+)?")


@dataclass(frozen=True, slots=True)
class Chapter:
    """name: of the file without `.md`, and of its page."""

    name: str
    title: str
    about: str


@dataclass(frozen=True, slots=True)
class Part:
    title: str
    chapters: tuple[Chapter, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    anchor: str
    title: str


@dataclass(frozen=True, slots=True)
class Text:
    """html begins behind the title; contents are its second-level headings."""

    title: str
    html: str
    contents: tuple[Heading, ...]


PARTS = (
    Part(
        "Using it",
        (
            Chapter(
                "first-request",
                "A first request",
                "From a key to an answer and its receipt, with code to paste.",
            ),
            Chapter(
                "credits",
                "Credits and earnings",
                "What a request costs, who is paid what and when, in examples.",
            ),
            Chapter("api", "API reference", "Every route, field, error and limit, with examples to paste."),
            Chapter("routing", "Choosing a server", "Which server gets a request, and why."),
        ),
    ),
    Part(
        "Hosting",
        (
            Chapter(
                "quickstart", "Quick start", "llama.cpp, vLLM, SGLang or Ollama, from nothing to traffic."
            ),
            Chapter("hosting", "Hosting", "Registration, prices, earnings, checks and rotation in full."),
            Chapter("policy", "Hoster policy", "What is asked of hosters, what follows, and how to object."),
        ),
    ),
    Part(
        "How it is made",
        (
            Chapter("ledger", "The ledger", "How money moves, to the nanodollar."),
            Chapter("architecture", "Architecture", "How a request passes through."),
            Chapter("operations", "Operations", "Install, back up, watch and repair one of your own."),
            Chapter("glossary", "Glossary", "One meaning for each word."),
        ),
    ),
)
CHAPTERS = {chapter.name: chapter for part in PARTS for chapter in part.chapters}


@functools.cache
def text(name: str) -> Text:
    """A chapter by its name. Raises KeyError for one that there is not."""
    chapter = CHAPTERS[name]
    source = (FOLDER / f"{chapter.name}.md").read_text()
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=Renderer).enable("table")
    environment: dict[str, Any] = {}
    tokens = parser.parse(source, environment)
    headings = _anchored(tokens)
    contents = tuple(Heading(anchor, title) for level, anchor, title in headings if level == "h2")
    body = tokens[3:] if tokens and tokens[0].tag == "h1" else tokens
    return Text(chapter.title, parser.renderer.render(body, parser.options, environment), contents)


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def localised(content: str) -> str:
    """The text with this installation's address."""
    for address in ADDRESSES:
        content = content.replace(address, settings.PUBLIC_URL)
    return content


def _anchored(tokens: Sequence[Token]) -> list[tuple[str, str, str]]:
    """(tag, anchor, title) of each heading; the tokens get the anchors as ids."""
    found = []
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            title = "".join(child.content for child in inline.children or ())
            opening.attrSet("id", slug(inline.content))
            found.append((opening.tag, slug(inline.content), title))
    return found


class Renderer(RendererHTML):
    """Tables that can be scrolled by keyboard, code that can be copied, links between chapters."""

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        env["tables"] = env.get("tables", 0) + 1
        return f'<div class="scroll" role="region" aria-label="Table {env["tables"]}" tabindex="0"><table>'

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "</table></div>"

    def th_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return '<th scope="col">' if tokens[idx + 1].content else "<td>"  # an empty head heads nothing

    def th_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "</th>" if tokens[idx - 1].content else "</td>"

    def td_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "<td>"

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        kind, _, title = tokens[idx].info.strip().partition(" ")
        return self._code(tokens[idx].content, kind, title, env)

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self._code(tokens[idx].content, "", "", env)

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        goal = str(tokens[idx].attrGet("href") or "")
        if (found := LINK.fullmatch(goal)) and found["name"] in CHAPTERS:
            tokens[idx].attrSet("href", f"/docs/{found['name']}{found['anchor'] or ''}")
        elif not goal.startswith(("#", "/", "https://", "http://")):
            tokens[idx].attrs.pop("href", None)  # a file of the repository has no page
        return str(self.renderToken(tokens, idx, options, env))

    def code_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f"<code>{escape(localised(tokens[idx].content))}</code>"

    def _code(self, content: str, kind: str, title: str, env: Any) -> str:
        shown = localised(content.rstrip("\n"))
        blocks = shell_sessions.exchanges(shown) if kind == "console" else [(shown, "")]
        caption = f'<p class="caption">{escape(title)}</p>' if title else ""
        return caption + "".join(self._copied(commands, printed, env) for commands, printed in blocks)

    def _copied(self, content: str, printed: str, env: Any) -> str:
        """A text that can be copied, above what it prints, which is not."""
        env["codes"] = env.get("codes", 0) + 1
        name = f"code-{env['codes']}"
        answer = f'<pre class="answer" tabindex="0">{escape(printed)}</pre>' if printed else ""
        return (
            f'<div class="code"><pre id="{name}" tabindex="0">{escape(content)}</pre>'
            f'<button type="button" class="button plain little" data-copy="{name}" hidden>Copy</button>{answer}</div>'
        )
