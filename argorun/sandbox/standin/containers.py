"""Runs containers as local processes and keeps their output line by line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from argorun.sandbox.standin.objects import Json, Pulse, rfc3339_nano
from argorun.sandbox.watchdog import send

CHUNK = 1 << 16


class ConfigError(Exception):
    """An environment variable names a ConfigMap, a Secret or a key that is not there."""


class ContainerLog:
    """One attempt's output: lines with the nanosecond at which they were read."""

    BATCH = 1000  # lines handed out at once, at most

    def __init__(self) -> None:
        self.lines: list[tuple[int, bytes]] = []
        self.closed = False
        self.pulse = Pulse()

    async def pump(self, pipe: asyncio.StreamReader) -> None:
        """Take in everything a process writes, until it closes its end."""
        rest = b""
        while chunk := await pipe.read(CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            self.lines.extend((time.time_ns(), line) for line in lines)
            if lines:
                self.pulse.beat()
        if rest:
            self.lines.append((time.time_ns(), rest))

    def close(self) -> None:
        """No line will follow."""
        self.closed = True
        self.pulse.beat()

    async def read(
        self, *, follow: bool = False, since: int = 0, tail: int | None = None
    ) -> AsyncIterator[list[tuple[int, bytes]]]:
        """Yield lines in batches; `since` is nanoseconds since the epoch, `tail` counts from the end."""
        at = 0 if tail is None else max(0, len(self.lines) - tail)
        while True:
            seen, closed, end = self.pulse.count, self.closed, len(self.lines)
            for first in range(at, end, self.BATCH):
                if batch := [x for x in self.lines[first : min(first + self.BATCH, end)] if x[0] >= since]:
                    yield batch
            at = end
            if closed or not follow:
                return
            await self.pulse.wait(seen)


class Images:
    """The images a node knows: a folder each, whose `bin/` goes first on PATH."""

    def __init__(self, *folders: Path) -> None:
        self.folders = folders

    def find(self, image: str) -> Path | None:
        """The folder of an image by its last path component, without tag or digest."""
        name = image.split("@")[0].rsplit("/", 1)[-1].split(":")[0]
        return next((f / name for f in self.folders if (f / name).is_dir()), None)


def build_environment(
    container: Json, pod: Json, home: Path, lookup: Callable[[str, str], dict[str, str] | None]
) -> dict[str, str]:
    """A container's variables; `lookup(kind, name)` gives a ConfigMap's or Secret's data, or None."""
    meta = pod["metadata"]
    env = {"HOSTNAME": meta["name"], "HOME": str(home)}
    for source in container.get("envFrom") or []:
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if field in source:
                data = lookup(kind, source[field]["name"])
                if data is None and not source[field].get("optional"):
                    raise ConfigError(f'{kind.lower()} "{source[field]["name"]}" not found')
                env |= {source.get("prefix", "") + k: v for k, v in (data or {}).items()}
    for entry in container.get("env") or []:
        if (value := _env_value(entry, env, pod, lookup)) is not None:
            env[entry["name"]] = value
    env.setdefault("PATH", os.environ.get("PATH", os.defpath))
    return env


def _env_value(
    entry: Json, env: dict[str, str], pod: Json, lookup: Callable[[str, str], dict[str, str] | None]
) -> str | None:
    source = entry.get("valueFrom") or {}
    if not source:
        return expand(str(entry.get("value", "")), env)
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"])
    for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if field in source:
            name, key = source[field]["name"], source[field]["key"]
            data = lookup(kind, name)
            if data is not None and key in data:
                return data[key]
            if source[field].get("optional"):
                return None
            if data is None:
                raise ConfigError(f'{kind.lower()} "{name}" not found')
            raise ConfigError(f"couldn't find key {key} in {kind} {pod['metadata']['namespace']}/{name}")
    return ""


def _field(pod: Json, path: str) -> str:
    if match := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        return str((pod["metadata"].get(match[1]) or {}).get(match[2], ""))
    node: object = pod
    for part in path.split("."):
        node = node.get(part, "") if isinstance(node, dict) else ""
    return str(node)


def expand(text: str, env: dict[str, str]) -> str:
    """`$(NAME)` becomes the variable, an unknown one stays and `$$(NAME)` is `$(NAME)`, as in Kubernetes."""

    def one(match: re.Match[str]) -> str:
        return match[0][1:] if match[0].startswith("$$") else env.get(match[1], match[0])

    return re.sub(r"\$?\$\(([\w.-]+)\)", one, text)


class Process:
    """One container attempt: a local process in its own process group."""

    def __init__(self, process: asyncio.subprocess.Process, log: ContainerLog) -> None:
        self._process, self._log = process, log
        self.pid = process.pid

    @classmethod
    async def start(
        cls, container: Json, image: Path, env: dict[str, str], home: Path, log: ContainerLog
    ) -> Process:
        """Start a container's command; OSError where there is no such program."""
        words = [*(container.get("command") or [str(image / "entrypoint")]), *(container.get("args") or [])]
        argv = [expand(str(word), env) for word in words]
        env = env | {"PATH": f"{image / 'bin'}{os.pathsep}{env['PATH']}"}
        workdir = container.get("workingDir")
        process = await asyncio.create_subprocess_exec(
            shutil.which(argv[0], path=env["PATH"]) or argv[0],
            *argv[1:],
            env=env,
            cwd=workdir if workdir and os.path.isdir(workdir) else home,  # noqa: ASYNC240
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(process, log)

    async def wait(self) -> int:
        """Take in the output to its end and return the exit code, 128+n after signal n."""
        assert self._process.stdout is not None
        try:
            await self._log.pump(self._process.stdout)
            code = await self._process.wait()
        finally:
            self.signal(signal.SIGKILL)  # what the command left in the background goes with the container
            self._log.close()
            with contextlib.suppress(TimeoutError):  # seen dead before anybody closes the loop
                await asyncio.wait_for(self._process.wait(), 2)
        return 128 - code if code < 0 else code

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole process group; nothing if it is gone."""
        send(self._process, number)


def log_line(stamp: int, content: str, pod: str, *, last: bool = False) -> Json:
    """One LogEntry as Argo CD's gateway writes it; `stamp` is nanoseconds, 0 for Go's zero time."""
    text = rfc3339_nano(stamp) if stamp else "0001-01-01T00:00:00Z"
    whole = rfc3339_nano(stamp // 10**9 * 10**9) if stamp else None
    return {"content": content, "timeStamp": whole, "last": last, "timeStampStr": text, "podName": pod}
