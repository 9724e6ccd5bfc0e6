"""A server that is registered step by step on the pages: how far it is, kept with its row until the last step is done.

`Server.setup` is {"checks": {stage: words}, "models": [[name, context]]}: a stage without words passed, one that is not
there has not been looked at. {"done": true} once it was in traffic. None: the server is no longer, or never was,
registered step by step.
"""

from dataclasses import dataclass
from typing import Any

from accounts.models import Customer
from hosting import checking, registration
from hosting.models import Hoster, Server
from hosting.stages import NAMES, STAGES, Found, Stage

ADDRESS, TOKEN, CHECK, MODELS, DONE = range(1, 6)
STEPS = {
    ADDRESS: "Address",
    TOKEN: "Token",
    CHECK: "Check",
    MODELS: "Models and prices",
    DONE: "Done",
}
NEW: dict[str, Any] = {"checks": {}, "models": []}


@dataclass(frozen=True, slots=True)
class Result:
    """A stage and what was seen. state: passed, failed or waiting."""

    stage: Stage
    state: str
    error: str = ""


def begin(*, customer: Customer, name: str, base_url: str, slots: int) -> Server:
    """The first step. Raises RegistrationRefused and AddressRefused."""
    return registration.place(customer=customer, name=name, base_url=base_url, slots=slots, setup=NEW)


def of_customer(customer: Customer) -> Server | None:
    """The server that this customer is registering, the newest first."""
    hosters = Hoster.objects.filter(customer=customer)
    return Server.objects.filter(hoster__in=hosters, setup__isnull=False).order_by("-pk").first()


def step(server: Server) -> int:
    """Where its owner goes on."""
    if server.setup and server.setup.get("done"):
        return DONE
    if not server.token_encrypted:
        return TOKEN
    return MODELS if passed(server) else CHECK


def give_token(server: Server, given: str | None) -> str:
    """The token to start it with, made here unless given; what was checked before says nothing any more."""
    token = registration.rotate_token(server, given)
    server.refresh_from_db()
    _keep(server, NEW)
    return token


def passed(server: Server) -> bool:
    return all(result.state == "passed" for result in results(server))


def results(server: Server) -> list[Result]:
    """Every stage in order."""
    checks = _checks(server)
    return [Result(stage, _state(checks.get(stage.name)), checks.get(stage.name) or "") for stage in STAGES]


def found(server: Server) -> tuple[Found, ...]:
    """The models that the server lists."""
    return tuple(Found(name, context) for name, context in (server.setup or NEW).get("models", []))


def last_check(server: Server) -> str:
    """What the operator reads of a server that is not in traffic yet: what was found, or how far its hoster is."""
    if server.verification_error:
        return server.verification_error
    if server.setup is None:
        return "its hoster has not let it be checked yet"
    if step(server) == TOKEN:
        return "its hoster has made no token for it yet"
    seen = results(server)
    good = [result for result in seen if result.state == "passed"]
    if len(good) == len(seen):
        return f"all {len(seen)} stages passed; its hoster has not chosen models and prices yet"
    for result in seen:
        if result.state == "failed":
            return f"“{result.stage.title}” did not pass: {result.error}"
    if not good:
        return "its hoster has not pressed “Check my server” yet"
    return f"{len(good)} of {len(seen)} stages passed, the others were not looked at yet"


def next_stage(server: Server) -> str | None:
    """What is looked at next; None when everything passed, or something failed."""
    checks = _checks(server)
    if any(checks.values()):
        return None
    return next((name for name in NAMES if name not in checks), None)


def look(server: Server, *, again: bool = False) -> None:
    """The next stage, or the first one again. Raises CheckRuns."""
    if again:
        server.setup = NEW
    name = next_stage(server)
    if name is None:
        return
    seen = checking.stage(server, name, found(server))
    models = [[model.name, model.context_tokens] for model in seen.models]
    _keep(server, {"checks": {**_checks(server), name: seen.error}, "models": models})


def look_at_all(server: Server, *, again: bool = False) -> None:
    """Every stage until one fails. Raises CheckRuns."""
    look(server, again=again)
    while next_stage(server):
        look(server)


def finish(server: Server) -> str:
    """The last step: the linked key, to be shown once. Raises RegistrationRefused."""
    assert server.hoster is not None
    key = registration.linked_key(server.hoster.customer)
    _keep(server, None)
    return key


def _keep(server: Server, setup: dict[str, Any] | None) -> None:
    server.setup = setup
    Server.objects.filter(pk=server.pk).update(setup=setup)


def _checks(server: Server) -> dict[str, str]:
    """The words of each stage that was looked at."""
    checks: dict[str, str] = (server.setup or NEW).get("checks", {})
    return checks


def _state(words: str | None) -> str:
    return "waiting" if words is None else "failed" if words else "passed"
