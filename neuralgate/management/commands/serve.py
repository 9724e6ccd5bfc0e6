"""Run NeuralGate on this machine: web processes, a worker for the periodic jobs, and the scheduler."""

import contextlib
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from neuralgate import machine
from neuralgate.supervisor import Child, Family


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--only", choices=machine.PARTS, help="one part of it, for a container of its own"
        )

    def handle(self, *args: Any, only: str | None = None, **options: Any) -> None:
        with contextlib.ExitStack() as stack:
            lock = stack.enter_context(machine.sole(settings.DATA_DIR)) if only is None else None
            listener = stack.enter_context(machine.listen()) if only in (None, "web") else None
            self.say("Bringing the database up to date …")
            machine.prepare()
            family = stack.enter_context(
                Family(
                    data_dir=settings.DATA_DIR if settings.DATABASE_EMBEDDED else None,
                    lock=lock,
                    grace_s=settings.SHUTDOWN_GRACE_S + 10.0,
                    env=self.environment(),
                )
            )
            self.furnish(family)
            self.run(family, listener, only)
            if listener is not None:
                listener.close()  # from here on a new connection is refused at once, not left waiting
            self.say("Stopping: running answers may end …")
        self.say("Stopped.")

    def run(self, family: Family, listener: socket.socket | None, only: str | None) -> None:
        """Start everything and keep it alive until a signal asks to stop."""
        webs: list[Child] = []
        if listener is not None:
            self.say(f"Starting {settings.WEB_PROCESSES} web processes …")
            webs = [family.start(program) for program in machine.web(listener)]
        if only in (None, "worker"):
            family.start(machine.worker())
        if only in (None, "beat"):
            family.start(machine.beat())
        if webs and machine.wait_until_ready(family, webs):
            self.greet()
        elif webs and not family.asked_to_stop:
            self.say("Not ready yet: /readyz does not answer 200. It may still come up; see the log.")
        family.watch()

    def environment(self) -> dict[str, str]:
        """What the processes find in their environment beyond ours."""
        return {}

    def furnish(self, family: Family) -> None:
        """What must be there before the web processes start."""

    def greet(self) -> None:
        self.say(f"NeuralGate is ready at {settings.PUBLIC_URL} — stop it with Ctrl-C.")

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
