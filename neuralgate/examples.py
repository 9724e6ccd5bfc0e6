"""A first call of a model, as text to paste into a shell, a Python or a Node file, with this installation's address."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

KEY = "ngk_your_key"
ASKED = "Hello!"


@dataclass(frozen=True, slots=True)
class Example:
    name: str
    slug: str
    note: str
    text: str


def of_chat(model: str, *, base_url: str) -> list[Example]:
    """base_url: with /v1. A model's id is quoted as each language wants it."""
    said = f'{{"role": "user", "content": "{ASKED}"}}'
    return _examples(
        base_url,
        "chat/completions",
        {"model": model, "messages": [{"role": "user", "content": ASKED}]},
        python=f"client.chat.completions.create(\n    model={json.dumps(model)},\n    messages=[{said}],\n)",
        node=f"client.chat.completions.create({{\n  model: {json.dumps(model)},\n"
        f'  messages: [{{ role: "user", content: "{ASKED}" }}],\n}})',
        result="choices[0].message.content",
    )


def of_embeddings(model: str, *, base_url: str) -> list[Example]:
    """The same for a model that only embeds."""
    return _examples(
        base_url,
        "embeddings",
        {"model": model, "input": ASKED},
        python=f'client.embeddings.create(\n    model={json.dumps(model)},\n    input="{ASKED}",\n)',
        node=f'client.embeddings.create({{\n  model: {json.dumps(model)},\n  input: "{ASKED}",\n}})',
        result="data[0].embedding",
    )


def _examples(
    base_url: str, route: str, body: dict[str, Any], *, python: str, node: str, result: str
) -> list[Example]:
    curl = (
        f"curl {base_url}/{route} \\\n"
        f'  -H "Authorization: Bearer {KEY}" \\\n'
        f'  -H "Content-Type: application/json" \\\n'
        f"  -d {shlex.quote(json.dumps(body))}"
    )
    python = (
        "from openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{base_url}", api_key="{KEY}")\n'
        f"answer = {python}\nprint(answer.{result})"
    )
    node = (
        'import OpenAI from "openai";\n\n'
        f'const client = new OpenAI({{ baseURL: "{base_url}", apiKey: "{KEY}" }});\n'
        f"const answer = await {node};\nconsole.log(answer.{result});"
    )
    return [
        Example("curl", "curl", "", curl),
        Example("Python", "python", "pip install openai", python),
        Example("Node", "node", "npm install openai", node),
    ]
