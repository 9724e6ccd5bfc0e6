"""A first call of a model, as text to paste into a shell, a Python or a Node file, with this installation's address."""

import json
import shlex
from dataclasses import dataclass

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
    quoted = json.dumps(model)
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": ASKED}]})
    return [
        Example(
            "curl",
            "curl",
            "",
            f"curl {base_url}/chat/completions \\\n"
            f'  -H "Authorization: Bearer {KEY}" \\\n'
            f'  -H "Content-Type: application/json" \\\n'
            f"  -d {shlex.quote(body)}",
        ),
        Example(
            "Python",
            "python",
            "pip install openai",
            "from openai import OpenAI\n\n"
            f'client = OpenAI(base_url="{base_url}", api_key="{KEY}")\n'
            "answer = client.chat.completions.create(\n"
            f"    model={quoted},\n"
            f'    messages=[{{"role": "user", "content": "{ASKED}"}}],\n'
            ")\n"
            "print(answer.choices[0].message.content)",
        ),
        Example(
            "Node",
            "node",
            "npm install openai",
            'import OpenAI from "openai";\n\n'
            f'const client = new OpenAI({{ baseURL: "{base_url}", apiKey: "{KEY}" }});\n'
            "const answer = await client.chat.completions.create({\n"
            f"  model: {quoted},\n"
            f'  messages: [{{ role: "user", content: "{ASKED}" }}],\n'
            "});\n"
            "console.log(answer.choices[0].message.content);",
        ),
    ]
