"""Keeps Apache Kafka's pinned jars in the user's cache, each with its SHA-256.

`python -m argorun.sandbox.jars` makes the list anew (with jgo's resolver) and prints it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path
from typing import TypeAlias

from argorun.errors import KafkaFailed
from argorun.sandbox.download import PART, Jar, fetch_all, new_file
from argorun.sandbox.maven import Settings, load_settings

VERSION = "4.3.1"
ROOTS = (f"org.apache.kafka:kafka_2.13:{VERSION}", f"org.apache.kafka:kafka-tools:{VERSION}")
LOGGING = "org.slf4j:slf4j-simple:1.7.36"
LEFT_OUT = re.compile(  # what only Kafka Connect and its REST server need
    r"connect-|jersey|jetty|jakarta|hk2|javassist|osgi|classgraph|swagger|maven-artifact|plexus|activation|javax|"
    r"jaxb|aopalliance|jackson-jakarta|jackson-module|jackson-dataformat-yaml|snakeyaml|jspecify|scala-reflect|"
    r"log4j-slf4j|slf4j-reload4j"
)


# Called with the number of bytes that are about to be fetched; what the block gets is told what has arrived.
# Less than nothing has arrived where a download begins again.
Progress: TypeAlias = "Callable[[int], AbstractContextManager[Callable[[int], None]]]"


def cache_folder(environ: Mapping[str, str]) -> Path:
    """$XDG_CACHE_HOME/argorun, else ~/.cache/argorun."""
    base = environ.get("XDG_CACHE_HOME") or ""
    home = Path(environ.get("HOME") or Path.home())
    return (Path(base) if os.path.isabs(base) else home / ".cache") / "argorun"


def pinned() -> list[Jar]:
    """The jars that make up Kafka."""
    text = resources.files("argorun.sandbox").joinpath("kafka.lock").read_text()
    lines = [line.replace(":", " ").split() for line in text.splitlines() if not line.startswith("#")]
    return [Jar(group, name, version, sha256, int(size)) for group, name, version, sha256, size in lines]


@contextlib.contextmanager
def silent(_: int) -> Iterator[Callable[[int], None]]:
    """Show no progress."""
    yield lambda _: None


async def kafka_jars(environ: Mapping[str, str] = os.environ, progress: Progress = silent) -> Path:
    """The folder with Kafka's jars; fetches those that are missing (42 MB, once per user).

    Safe with several processes at once, and after one that was killed: a jar gets its name once it is whole
    and its SHA-256 was seen. Raises KafkaFailed where a jar cannot be had.
    """
    jars = pinned()
    digest = hashlib.sha256("".join(jar.sha256 for jar in jars).encode()).hexdigest()[:8]
    folder = cache_folder(environ) / f"kafka-{VERSION}-{digest}"
    try:
        if not _complete(folder, jars):
            folder.mkdir(parents=True, exist_ok=True)
            async with _locked(folder / ".lock"):
                _tidy(folder)
                await _fill(folder, jars, _settings(environ), progress)
    except OSError as error:
        raise KafkaFailed(f"Kafka's jars cannot be kept in {folder}: {error}") from error
    return folder


def _settings(environ: Mapping[str, str]) -> Settings:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL

    return load_settings(environ, MAVEN_CENTRAL_URL, tuple(GlobalSettings.load().repositories.values()))


def _complete(folder: Path, jars: list[Jar]) -> bool:
    """Whether every jar is there in its size; what cleans up caches may have deleted single ones."""
    sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder)} if folder.is_dir() else {}
    return all(sizes.get(jar.name) == jar.size for jar in jars)


@contextlib.asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    """Let one process download at a time."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.2)  # a lock of another process cannot be awaited
        yield


def _tidy(folder: Path) -> None:
    """Delete what a process has left that was killed while it fetched."""
    for part in folder.glob(f"{PART}*"):
        part.unlink()


async def _fill(folder: Path, jars: list[Jar], settings: Settings, progress: Progress) -> None:
    missing = [jar for jar in jars if not _have(folder, jar, settings.local)]
    if missing:
        with progress(sum(jar.size for jar in missing)) as arrived:
            await fetch_all(folder, missing, settings.repositories, arrived)


def _have(folder: Path, jar: Jar, local: Path) -> bool:
    """Whether the jar is in the cache, or could be copied from Maven's."""
    for path in (folder / jar.name, local / jar.path):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if hashlib.sha256(content).hexdigest() == jar.sha256:
            if path.parent != folder:
                with new_file(folder / jar.name) as part:
                    part.write_bytes(content)
            return True
    return False


def resolve() -> Iterator[str]:
    """The lines of kafka.lock, newly resolved from the artifacts' POMs."""
    from jgo.maven import Dependency, MavenContext, PythonResolver

    folder = Path(tempfile.mkdtemp())
    try:
        context = MavenContext(repo_cache=folder, local_repos=[], resolver=PythonResolver())

        def artifact(coordinates: str) -> Dependency:
            group, name, version = coordinates.split(":")
            return Dependency(context.project(group, name).at_version(version).artifact())

        roots = [artifact(root) for root in (*ROOTS, LOGGING)]
        _, found = context.resolver.resolve(roots)
        for dependency in sorted((*roots, *found), key=lambda d: (str(d.groupId), str(d.artifactId))):
            if dependency.scope in ("compile", "runtime", None) and not LEFT_OUT.match(dependency.artifactId):
                path = dependency.artifact.resolve()
                coordinates = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
                content = path.read_bytes()
                yield f"{coordinates} {hashlib.sha256(content).hexdigest()} {len(content)}"
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    print(f"# Apache Kafka {VERSION}: python -m argorun.sandbox.jars")
    for line in resolve():
        print(line)
