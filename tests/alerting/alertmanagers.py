"""A real Alertmanager, Debian's: on ports and in a folder of its own, gone at the end whatever happens."""

import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from tests.ports import free_port, give_back
from tests.skips import IMPOSSIBLE
from tests.waiting import eventually_sync

PROGRAM = "prometheus-alertmanager"
ABSENCE = f"{IMPOSSIBLE}no Alertmanager (root: apt-get install {PROGRAM})"
START_SECONDS = 60.0
CONFIGURATION = """
route: {receiver: hook, group_by: [alertname, target, severity], group_wait: 0s, group_interval: 1s}
receivers: [{name: hook, webhook_configs: [{url: "URL", send_resolved: true}]}]
"""


class RealAlertmanager:
    """One of them. What it notifies goes to `hook`."""

    def __init__(self, hook: str) -> None:
        self.port = free_port()
        self._home = Path(tempfile.mkdtemp(prefix="toban-"))
        self._hook = hook
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run it, until it is ready."""
        written = self._home / "alertmanager.yml"
        written.write_text(CONFIGURATION.replace("URL", self._hook))
        options = {
            "config.file": written,
            "storage.path": self._home / "data",
            "web.listen-address": f"127.0.0.1:{self.port}",
            "cluster.listen-address": "",
        }
        with (self._home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, *(f"--{name}={value}" for name, value in options.items())], stdout=log, stderr=log
            )
        eventually_sync(self._ready, within_seconds=START_SECONDS)

    def remove(self) -> None:
        """End it, and what it left."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=60)
        shutil.rmtree(self._home, ignore_errors=True)
        give_back(self.port)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=10) as answer:  # noqa: S310 - our own, on loopback
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
