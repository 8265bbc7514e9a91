"""Downloads Apache Kafka's pinned jars into the user's cache and checks their SHA-256.

`python -m argorun.sandbox.jars` makes the list anew (with jgo's resolver) and prints it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import fcntl
import hashlib
import os
import re
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from importlib import resources
from pathlib import Path

import httpx
import truststore

from argorun.errors import KafkaFailed, UsageError
from argorun.sandbox.maven import Repository, Settings, load_settings

VERSION = "4.3.1"
AT_ONCE = 6  # downloads
ROOTS = (f"org.apache.kafka:kafka_2.13:{VERSION}", f"org.apache.kafka:kafka-tools:{VERSION}")
LOGGING = "org.slf4j:slf4j-simple:1.7.36"
LEFT_OUT = re.compile(  # what only Kafka Connect and its REST server need
    r"connect-|jersey|jetty|jakarta|hk2|javassist|osgi|classgraph|swagger|maven-artifact|plexus|activation|javax|"
    r"jaxb|aopalliance|jackson-jakarta|jackson-module|jackson-dataformat-yaml|snakeyaml|jspecify|scala-reflect|"
    r"log4j-slf4j|slf4j-reload4j"
)


@dataclasses.dataclass(frozen=True)
class Jar:
    """One artifact of Maven Central."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Its path in a repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.name}"


def cache_folder(environ: Mapping[str, str]) -> Path:
    """$XDG_CACHE_HOME/argorun, else ~/.cache/argorun."""
    base = environ.get("XDG_CACHE_HOME") or ""
    home = Path(environ.get("HOME") or Path.home())
    return (Path(base) if os.path.isabs(base) else home / ".cache") / "argorun"


def pinned() -> list[Jar]:
    """The jars that make up Kafka."""
    text = resources.files("argorun.sandbox").joinpath("kafka.lock").read_text()
    lines = [line.replace(":", " ").split() for line in text.splitlines() if not line.startswith("#")]
    return [Jar(group, artifact, version, sha256) for group, artifact, version, sha256 in lines]


async def kafka_jars(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder with Kafka's jars; downloads them if they are missing (40 MB, once per user).

    Safe with several processes at once. KafkaFailed where they cannot be had; UsageError without jgo.
    """
    jars = pinned()
    digest = hashlib.sha256("".join(jar.sha256 for jar in jars).encode()).hexdigest()[:8]
    folder = cache_folder(environ) / f"kafka-{VERSION}-{digest}"
    complete = folder / ".complete"
    if not complete.exists():
        settings = _settings(environ)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            async with _locked(folder / ".lock"):
                if not complete.exists():
                    await _fill(folder, jars, settings)
                    complete.touch()
        except OSError as error:
            raise KafkaFailed(f"Kafka's jars cannot be kept in {folder}: {error}") from error
    return folder


def _settings(environ: Mapping[str, str]) -> Settings:
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
    except ImportError:
        raise UsageError("the sandbox is not installed", "pip install 'argorun[sandbox]'") from None
    return load_settings(environ, MAVEN_CENTRAL_URL, tuple(GlobalSettings.load().repositories.values()))


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


async def _fill(folder: Path, jars: list[Jar], settings: Settings) -> None:
    slots = asyncio.Semaphore(AT_ONCE)
    async with contextlib.AsyncExitStack() as stack:
        clients = [(r, await stack.enter_async_context(_client(r))) for r in settings.repositories]

        async def one(jar: Jar) -> None:
            async with slots:
                if not _have(folder, jar, settings.local):
                    await _fetch(folder, jar, clients)

        try:
            async with asyncio.TaskGroup() as group:
                for jar in jars:
                    group.create_task(one(jar))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None


def _have(folder: Path, jar: Jar, local: Path) -> bool:
    """Whether the jar is in the cache, or could be copied from Maven's."""
    if (folder / jar.name).exists():
        return True
    mine = local / jar.path
    try:
        content = mine.read_bytes()
    except OSError:
        return False
    if hashlib.sha256(content).hexdigest() != jar.sha256:
        return False
    with _new_file(folder / jar.name) as part:
        part.write_bytes(content)
    return True


def _client(repository: Repository) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        auth=repository.auth,
        proxy=repository.proxy,
        verify=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        timeout=httpx.Timeout(30, connect=10),
        follow_redirects=True,
        headers={"accept-encoding": "identity"},
    )


async def _fetch(folder: Path, jar: Jar, clients: list[tuple[Repository, httpx.AsyncClient]]) -> None:
    """Download one jar from the first repository that has it."""
    problem = ""
    for repository, client in clients:
        url = f"{repository.url.rstrip('/')}/{jar.path}"
        for _ in range(3):
            try:
                answer = await client.get(url)
                answer.raise_for_status()
            except httpx.HTTPStatusError as error:
                problem = f"HTTP {error.response.status_code}"
                if error.response.status_code < 500:
                    break
            except httpx.HTTPError as error:
                problem = str(error) or type(error).__name__
            else:
                if hashlib.sha256(answer.content).hexdigest() == jar.sha256:
                    with _new_file(folder / jar.name) as part:
                        part.write_bytes(answer.content)
                    return
                problem = "its content is not what it should be (SHA-256)"
                break
    raise KafkaFailed(
        f"{jar.name} cannot be fetched from the Maven repository: {problem}",
        "Kafka's jars are fetched once, from Maven Central or the mirror in ~/.m2/settings.xml: "
        "check the network, HTTPS_PROXY and that file.",
    )


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A file that gets its name only when it is complete."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


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
                yield f"{coordinates} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    print(f"# Apache Kafka {VERSION}: python -m argorun.sandbox.jars")
    for line in resolve():
        print(line)
