"""A real redis-server on a unix socket, for tests to use, stop and bring back."""

import signal
import subprocess
import time
from pathlib import Path

from tests.support.patience import patience
from tests.support.programs import require_program


class RedisStand:
    """A Redis of its own in `folder`, which keeps nothing on disk unless told to."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._program = require_program("redis-server", "redis-server")
        self._folder = folder
        self._durable = durable
        self.socket = folder / "redis.sock"
        self.start()

    @property
    def url(self) -> str:
        """What `--redis` takes."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        options = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self._folder), "--save", ""]
        if self._durable:
            options += ["--appendonly", "yes", "--appendfsync", "no"]
        self.process = subprocess.Popen([self._program, *options], stdout=subprocess.DEVNULL)
        given_up_at = time.monotonic() + patience(10)
        while time.monotonic() < given_up_at:
            if self.command("PING") == "PONG":
                return
            time.sleep(0.02)
        raise AssertionError("redis-server did not answer")

    def command(self, *words: str) -> str:
        """Return what a command answers, as redis-cli prints it; empty when there is no server."""
        return self.command_at(self.socket, *words)

    def command_at(self, socket: Path, *words: str) -> str:
        """Return what a command answers at this path."""
        call = ["redis-cli", "-s", str(socket), *words]
        return subprocess.run(call, capture_output=True, text=True, check=False).stdout.strip()

    def everything(self) -> list[str]:
        """Return every key."""
        return sorted(self.command("KEYS", "*").splitlines())

    def pause(self) -> None:
        """Let it stand still."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End `pause`."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it at once."""
        self.go_on()
        self.process.kill()
        self.process.wait(patience(10))
