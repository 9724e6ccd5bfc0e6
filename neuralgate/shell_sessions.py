"""Console sessions as texts show them: which lines one types, and which are printed. Pure."""

import re
import shlex

PROMPT = "$ "
HERE_DOCUMENT = re.compile(r"<<\s*['\"]?(?P<end>\w+)")


def exchanges(session: str) -> list[tuple[str, str]]:
    """(commands without their prompts, ready to paste; what they print), in order."""
    found: list[tuple[list[str], list[str]]] = []
    command: list[str] = []  # the one that goes on
    for line in session.splitlines():
        starts = not command and line.startswith(PROMPT)
        if starts and (not found or any(found[-1][1])):
            found.append(([], []))
        if not found:
            found.append(([], []))
        commands, printed = found[-1]
        if starts or command:
            command.append(line.removeprefix(PROMPT) if starts else line)
            commands.append(command[-1])
            command = command if goes_on(command) else []
        else:
            printed.append(line)
    return [("\n".join(commands), "\n".join(printed).strip("\n")) for commands, printed in found]


def goes_on(command: list[str]) -> bool:
    """Whether a shell waits for another line: a backslash, open quotes, or a here-document without its end."""
    if here := HERE_DOCUMENT.search(command[0]):
        return command[-1] != here["end"] or len(command) == 1
    try:
        shlex.split("\n".join(command), comments=True)
    except ValueError:
        return True
    return False
