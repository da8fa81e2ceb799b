"""Hooks of `runwire.toml`: actions that only the operator can trigger, and their commands."""

import asyncio
import signal

from runwire_conformance.case import NotExercised
from runwire_conformance.client.options.keys import TABLES

#: Seconds that a command may take.
COMMAND_S = 15.0


def missing(name: str) -> NotExercised:
    """Return what a case raises that needs a hook which is not configured."""
    return NotExercised(f"configure [hooks] {name} in runwire.toml: {TABLES['hooks'].keys[name].meaning}")


def failed(name: str, code: int) -> str:
    """Return how the command of the hook `name` failed; `code` is negative when a signal ended its shell."""
    if code >= 0:
        return f"the command of [hooks] {name} ended with exit code {code}"
    try:
        sign = signal.Signals(-code).name
    except ValueError:
        sign = f"signal {-code}"
    return (
        f"the command of [hooks] {name} was itself ended by {sign}; a `pkill -f` pattern also matches the "
        "shell that runs the command, so name the process by its id"
    )


async def executed(name: str, command: str) -> None:
    """Run the command of the hook `name` and wait for its end; raises NotExercised."""
    process = await asyncio.create_subprocess_shell(command)
    if (code := await process.wait()) != 0:
        raise NotExercised(failed(name, code))


async def printed(name: str, command: str, text: str = "") -> str:
    """Run the command of the hook `name` with `text` as its input and return what it prints; raises NotExercised.

    The command itself is not shown, as it may hold a secret.
    """
    process = await asyncio.create_subprocess_shell(
        command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(COMMAND_S):
            output, _ = await process.communicate(text.encode())
    except TimeoutError:
        raise NotExercised(f"the command of [hooks] {name} did not end within {COMMAND_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise NotExercised(failed(name, process.returncode))
    said = output.decode(errors="replace").strip()
    if not said or len(said.split()) != 1:
        raise NotExercised(f"the command of [hooks] {name} must print a token and nothing else")
    return said
