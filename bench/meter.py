"""What each process costs: CPU and memory of process trees from /proc, and which core each may use."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

LOAD = "load"  # the role of this process, the load generator
BUSY = 0.9  # above this share of a core a process is what holds the rest

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(msgspec.Struct, frozen=True):
    """CPU-seconds by role during one phase; `foreign_s`: what others took of the server's core."""

    wall_s: float
    cpu_s: dict[str, float]
    foreign_s: float = 0.0

    @property
    def shares(self) -> dict[str, float]:
        """Of one core each."""
        return {role: used / self.wall_s for role, used in self.cpu_s.items()}


class Stat(NamedTuple):
    """One process; `cpu_s` includes children it has waited for, so what an ended one used is not lost."""

    parent: int
    cpu_s: float
    rss_bytes: int


def parse_stat(text: str) -> Stat:
    """A line of /proc/<pid>/stat; the name in it may hold spaces and parentheses (proc(5))."""
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(int(fields[1]), sum(map(int, fields[11:15])) * _TICK_S, int(fields[21]) * _PAGE)


def parse_busy(text: str, cores: set[int]) -> float:
    """CPU-seconds that processes and other guests of the host have used on these cores, from /proc/stat (proc(5))."""
    lines = (line.split() for line in text.splitlines())
    busy = {
        line[0]: (*line[1:4], line[8]) for line in lines if line and line[0].startswith("cpu")
    }  # user, nice, system, steal
    return sum(sum(map(int, busy.get(f"cpu{core}", ()))) for core in cores) * _TICK_S


def read_processes() -> dict[int, Stat]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = parse_stat((folder / "stat").read_text())
            except (OSError, ValueError):  # it ended meanwhile
                continue
    return found


def tree(root: int, processes: Mapping[int, Stat]) -> list[int]:
    """A process and all it has started."""
    found = [root] if root in processes else []
    for parent in found:  # grows while it is walked: breadth first
        found += [pid for pid, stat in processes.items() if stat.parent == parent]
    return found


class Meter:
    """Measures between `start` and `stop`. `roots`: the first process of each role, the load generator apart.

    `watched`: the role that has `cores` to itself, if any has.
    """

    def __init__(self, roots: dict[str, int], watched: str = "", cores: set[int] | None = None) -> None:
        self._roots = roots
        self._watched = watched
        self._cores = cores or set()
        self._busy = 0.0
        self._started = 0.0
        self._before: dict[str, float] = {}

    def start(self) -> None:
        self._before = self._read()
        self._busy = self._read_busy()
        self._started = time.monotonic()

    def stop(self) -> Usage:
        wall_s = time.monotonic() - self._started
        busy_s = self._read_busy() - self._busy
        cpu_s = {role: used - self._before[role] for role, used in self._read().items()}
        return Usage(wall_s, cpu_s, max(0.0, busy_s - cpu_s.get(self._watched, 0.0)) if self._cores else 0.0)

    def _read_busy(self) -> float:
        return parse_busy(Path("/proc/stat").read_text(), self._cores)

    def _read(self) -> dict[str, float]:
        processes = read_processes()
        used = {role: sum(processes[pid].cpu_s for pid in tree(root, processes)) for role, root in self._roots.items()}
        return used | {LOAD: time.process_time()}

    def rss_bytes(self, role: str) -> int:
        """Resident memory of the role's processes now."""
        processes = read_processes()
        return sum(processes[pid].rss_bytes for pid in tree(self._roots[role], processes))


class Cores(NamedTuple):
    """Who runs where. Two cores: the server alone on one, storage and load share the other."""

    server: set[int]
    storage: set[int]
    load: set[int]


def share_cores(cores: set[int]) -> Cores:
    """The server gets one core to itself when there are two or more."""
    ordered = sorted(cores)
    if len(ordered) < 3:
        return Cores(set(ordered[:1]), set(ordered[-1:]), set(ordered[-1:]))
    return Cores({ordered[0]}, set(ordered[1:-1]), {ordered[-1]})


def pin(root: int, cores: set[int]) -> None:
    """Keep a process tree on these cores; what it starts later inherits that."""
    for pid in tree(root, read_processes()):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)
