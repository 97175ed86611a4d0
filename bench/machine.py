"""What the figures were measured on: they mean little without it."""

import os
import platform
import subprocess
from pathlib import Path


def _first_line(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return (ran.stdout or ran.stderr).strip().partition("\n")[0]


def _field(file: str, key: str) -> str:
    for line in Path(file).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"


def facts(postgres_bin: Path, exporter: str) -> dict[str, str]:
    """Processor, memory and versions."""
    memory_kilobytes = int(_field("/proc/meminfo", "MemTotal").split()[0])
    return {
        "processor": f"{os.cpu_count()} x {_field('/proc/cpuinfo', 'model name')}",
        "memory": f"{memory_kilobytes / 1024**2:.0f} GiB",
        "kernel": platform.release(),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "Python": platform.python_version(),
        "PostgreSQL": _first_line(str(postgres_bin / "postgres"), "--version"),
        "exporter": _first_line(exporter, "--version"),
    }
