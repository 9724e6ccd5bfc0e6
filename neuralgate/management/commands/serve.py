"""Run NeuralGate on this machine: web processes, a worker for the periodic jobs, and the scheduler."""

import contextlib
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
            data_dir = settings.DATA_DIR if settings.DATABASE_EMBEDDED else None
            family = stack.enter_context(
                Family(data_dir=data_dir, lock=lock, grace_s=settings.SHUTDOWN_GRACE_S + 10)
            )
            webs: list[Child] = []
            if listener is not None:
                self.say(f"Starting {settings.WEB_PROCESSES} web processes …")
                webs = [family.start(program) for program in machine.web(listener)]
            if only in (None, "worker"):
                family.start(machine.worker())
            if only in (None, "beat"):
                family.start(machine.beat())
            if webs and machine.wait_until_ready(family, webs):
                self.say(f"NeuralGate is ready at {machine.address()} — stop it with Ctrl-C.")
            elif webs and not family.asked_to_stop:
                self.say("Not ready yet: /readyz does not answer 200. It may still come up; see the log.")
            family.watch()
            if listener is not None:
                listener.close()  # from here on a new connection is refused at once, not left waiting
            self.say("Stopping: running answers may end …")
        self.say("Stopped.")

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
