"""What a demo keeps between two starts, in DATA_DIR/demo.json (mode 0600): ports, tokens, logins, keys.

It holds secrets in the clear, so that the next start can print the same ones: it is a demo.
"""

import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Login:
    email: str
    password: str
    key: str = ""
    secret: str = ""  # of the second factor, for an authenticator app
    codes: list[str] = field(default_factory=list)  # the second factor's spare codes


@dataclass(slots=True)
class Notes:
    """ports and tokens by server, logins by person."""

    file: Path
    ports: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    logins: dict[str, Login] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path) -> "Notes":
        if not file.exists():
            return cls(file)
        kept = json.loads(file.read_text())
        logins = {name: Login(**login) for name, login in kept["logins"].items()}
        return cls(file, kept["ports"], kept["tokens"], logins)

    def save(self) -> None:
        draft = self.file.with_suffix(".draft")
        content = {"ports": self.ports, "tokens": self.tokens}
        logins = {name: asdict(login) for name, login in self.logins.items()}
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump({**content, "logins": logins}, stream, indent=2)
        draft.replace(self.file)

    def login(self, name: str) -> Login:
        """A person's login, made at the first call."""
        if name not in self.logins:
            self.logins[name] = Login(f"{name}@demo.example", secrets.token_hex(10))
            self.save()
        return self.logins[name]

    def token(self, server: str) -> str:
        if server not in self.tokens:
            self.tokens[server] = "ngs_" + secrets.token_urlsafe(32)
            self.save()
        return self.tokens[server]

    def port(self, server: str) -> int:
        """The server's port: the same as last time, or another one when somebody else has it now."""
        if not is_free(self.ports.get(server, 0)):
            self.ports[server] = free_port()
            self.save()
        return self.ports[server]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen there; 0 is no port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return port != 0
