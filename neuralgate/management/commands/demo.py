"""Run NeuralGate with a simulated network: hosters, providers, logins, keys, and a line to paste."""

import http.client
import logging
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from neuralgate import machine
from neuralgate.demo import people
from neuralgate.demo.network import NETWORK, SHARED_MODEL, Simulated
from neuralgate.demo.notes import Notes
from neuralgate.management.commands import serve
from neuralgate.supervisor import Family, Program

SIMULATORS_READY_S = 30.0
CODES_SHOWN = 4
QUESTION = "What is the capital of France?"
# The demo's hosters listen on this machine, over plain HTTP.
ON_ONE_MACHINE = {"ALLOW_PRIVATE_ADDRESSES": "1", "ALLOW_HTTP_HOSTERS": "1"}


class Command(serve.Command):
    help = __doc__

    def handle(self, *args: Any, only: str | None = None, **options: Any) -> None:
        if only is not None:
            raise CommandError("The demo runs all of it; --only is for `serve`.")
        settings.ALLOW_PRIVATE_ADDRESSES = settings.ALLOW_HTTP_HOSTERS = True
        logging.getLogger().setLevel(quiet())
        self.notes = Notes.load(settings.DATA_DIR / "demo.json")
        super().handle(*args, **options)

    def environment(self) -> dict[str, str]:
        return {**ON_ONE_MACHINE, "LOG_LEVEL": quiet()}

    def furnish(self, family: Family) -> None:
        self.say(f"Starting {len(NETWORK)} simulated model servers …")
        for simulated in NETWORK:
            family.start(self._program(simulated))
        if not family.wait_for(self._all_listen, timeout_s=SIMULATORS_READY_S) and not family.asked_to_stop:
            raise CommandError("The simulated model servers do not start: see the messages above.")
        if not family.asked_to_stop:
            self.say("Making logins and keys, registering the servers …")
            people.settle_in(self.notes)
            machine.let_go()

    def greet(self) -> None:
        self.say(greeting(self.notes, f"http://127.0.0.1:{settings.PORT}"))

    def _program(self, simulated: Simulated) -> Program:
        spec = simulated.spec(port=self.notes.port(simulated.name), token=self.notes.token(simulated.name))
        command = (sys.executable, "-m", "neuralgate.demo.simulator")
        return Program(simulated.name, command, stage=2, grace_s=5.0, env={"SIMULATOR": spec.encode()})

    def _all_listen(self) -> bool:
        return all(listens(self.notes.ports[simulated.name]) for simulated in NETWORK)


def quiet() -> str:
    """The log level: only what went wrong, unless another one than usual was set."""
    return "WARNING" if settings.LOG_LEVEL == "INFO" else settings.LOG_LEVEL


def listens(port: int) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        client.request("GET", "/health")
        return client.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()


def greeting(notes: Notes, address: str) -> str:
    admin, alice, bob = (notes.logins[name] for name in (people.ADMIN, people.CUSTOMER, people.HOSTER))
    return f"""
NeuralGate's demo is ready: {address}
{len(NETWORK)} simulated model servers are connected. Stop it with Ctrl-C; logins and keys stay the same.

  admin     {admin.email:<22}  {admin.password:<18}  {address}/admin/
            The admin asks for a second factor: one of {" ".join(admin.codes[:CODES_SHOWN])}
            (each works once, and again after a restart), or the secret {admin.secret}
            in an authenticator app.
  customer  {alice.email:<22}  {alice.password:<18}  {address}/accounts/login/
  hoster    {bob.email:<22}  {bob.password:<18}  {address}/accounts/login/

  the customer's key  {alice.key}
  the hoster's key    {bob.key}

Ask something (paste it; "stream": true works too):

curl {address}/v1/chat/completions \\
  -H "Authorization: Bearer {alice.key}" -H "Content-Type: application/json" \\
  -d '{{"model": "{SHARED_MODEL}", "messages": [{{"role": "user", "content": "{QUESTION}"}}]}}'

What the customer used, and what the hoster earned:

curl {address}/v1/usage -H "Authorization: Bearer {alice.key}"
curl {address}/v1/earnings -H "Authorization: Bearer {bob.key}"
"""
