#!/usr/bin/env python
"""Django's command line. Without DATABASE_URL it finds the embedded PostgreSQL, or starts it for this command."""

import contextlib
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralgate.settings")
    from django.conf import settings
    from django.core.management import execute_from_command_line
    from django.db import OperationalError
    from psycopg import OperationalError as NoConnection

    from neuralgate import embedded

    embedded_needed = settings.DATABASE_EMBEDDED and sys.argv[1:2] not in (
        [],
        ["help"],
        ["check"],
        ["collectstatic"],
    )
    try:
        with embedded.running(settings.DATA_DIR) if embedded_needed else contextlib.nullcontext():
            execute_from_command_line(sys.argv)
    except (OperationalError, NoConnection) as error:
        reason = str(error).strip().splitlines()[0]
        sys.exit(f"The database does not answer: {reason}. Check DATABASE_URL and that it runs.")
    except (PermissionError, NotADirectoryError) as error:
        sys.exit(f"{error.filename or settings.DATA_DIR} cannot be used: {error.strerror}. Check DATA_DIR.")


if __name__ == "__main__":
    main()
