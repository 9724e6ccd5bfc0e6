"""The exact lines that start a model server with its token, as text to paste."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
ANY_MODEL = "your-model"  # where it is not known yet
OLLAMA = "127.0.0.1:11434"


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    note: str
    text: str


def recipes(*, base_url: str, token: str, models: Sequence[str], slots: int) -> list[Recipe]:
    """One for each kind of server. models: the names under which the server itself knows them."""
    address = urlsplit(base_url)
    port = address.port or DEFAULT_PORTS[address.scheme]
    secret, name = shlex.quote(token), shlex.quote(models[0])
    return [
        Recipe(
            "llama.cpp",
            f"-np {slots} gives it the {slots} slots you declared; they share the context of -c.",
            f"llama-server -m model.gguf --alias {name} \\\n"
            f"  --host 0.0.0.0 --port {port} -np {slots} --api-key {secret}",
        ),
        Recipe("vLLM", "", f"vllm serve {name} --host 0.0.0.0 --port {port} --api-key {secret}"),
        Recipe(
            "SGLang",
            "",
            f"python -m sglang.launch_server --model-path {name} --served-model-name {name} \\\n"
            f"  --host 0.0.0.0 --port {port} --api-key {secret}",
        ),
        Recipe(
            "Ollama",
            "Ollama checks no token itself. Put Caddy before it with this Caddyfile"
            + ("; it fetches a certificate, too." if address.scheme == "https" else "."),
            _caddyfile(address.netloc if address.scheme == "https" else f":{port}", token),
        ),
    ]


def _caddyfile(site: str, token: str) -> str:
    quoted = token.replace("\\", "\\\\").replace('"', '\\"')
    return (
        f"{site} {{\n"
        f'\t@stranger not header Authorization "Bearer {quoted}"\n'
        "\trespond @stranger 401\n"
        f"\treverse_proxy {OLLAMA} {{\n"
        f"\t\theader_up Host {OLLAMA}\n"
        "\t}\n"
        "}"
    )
