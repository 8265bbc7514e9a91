"""Downloads jars from Maven repositories; each gets its name once it is whole."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import truststore

from argorun.errors import KafkaFailed, UsageError
from argorun.sandbox.maven import Repository

AT_ONCE = 6  # downloads
TRIES = 3  # per jar and repository
PART = ".part-"  # how the name of a file begins that is not whole yet
PAUSE = 0.5  # seconds before the second try; doubled before the third
HINT = (
    "Kafka's jars are fetched once, from Maven Central or the mirror in ~/.m2/settings.xml, through "
    "HTTPS_PROXY or pip's proxy: check these and try again; what has arrived is kept"
)
Clients = list[tuple[Repository, httpx.AsyncClient]]
Arrived = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class Jar:
    """One artifact of Maven Central."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Its path in a repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.name}"


async def fetch_all(
    folder: Path, jars: Sequence[Jar], repositories: Sequence[Repository], arrived: Arrived
) -> None:
    """Download the jars into `folder`, and tell `arrived` of the bytes as they come. Raises KafkaFailed."""
    slots = asyncio.Semaphore(AT_ONCE)
    async with contextlib.AsyncExitStack() as stack:
        clients = [(r, await stack.enter_async_context(_client(r))) for r in repositories]

        async def one(jar: Jar) -> None:
            async with slots:
                await _fetch(folder / jar.name, jar, clients, arrived)

        try:
            async with asyncio.TaskGroup() as group:
                for jar in jars:
                    group.create_task(one(jar))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None


def _client(repository: Repository) -> httpx.AsyncClient:
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if repository.ca is not None:
            context.load_verify_locations(repository.ca)
    except OSError as error:  # ssl.SSLError is one
        why = f"{repository.ca} cannot be used as a CA: {error}"
        raise UsageError(why, "set SSL_CERT_FILE to a file of certificates in PEM") from None
    try:
        return httpx.AsyncClient(
            auth=repository.auth,
            proxy=repository.proxy,
            verify=context,
            timeout=httpx.Timeout(30, connect=10),
            follow_redirects=True,
            headers={"accept-encoding": "identity"},
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:  # no support for SOCKS; another scheme
        raise UsageError(f"the proxy to Kafka's jars cannot be used: {error}", HINT) from None


async def _fetch(path: Path, jar: Jar, clients: Clients, arrived: Arrived) -> None:
    """Download one jar from the first repository that has it."""
    where = problem = ""
    for repository, client in clients:
        url = f"{repository.url.rstrip('/')}/{jar.path}"
        where = urlsplit(url).netloc.rpartition("@")[2]
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(PAUSE * 2 ** (attempt - 1))
            try:
                if await _try(url, path, jar, client, arrived):
                    return
                problem = "its content is not what it should be (SHA-256)"
                break
            except httpx.HTTPStatusError as error:
                problem = f"HTTP {error.response.status_code}"
                if error.response.status_code < 500:
                    break
            except httpx.HTTPError as error:
                problem = str(error) or type(error).__name__
    raise KafkaFailed(f"{jar.name} cannot be fetched from {where}: {problem}", HINT)


async def _try(url: str, path: Path, jar: Jar, client: httpx.AsyncClient, arrived: Arrived) -> bool:
    """Whether the jar was there, and whole. Raises httpx.HTTPError."""
    digest, size = hashlib.sha256(), 0
    with new_file(path) as part:
        try:
            async with client.stream("GET", url) as answer:
                answer.raise_for_status()
                with part.open("wb") as file:
                    async for chunk in answer.aiter_bytes():
                        file.write(chunk)
                        digest.update(chunk)
                        size += len(chunk)
                        arrived(len(chunk))
        except BaseException:
            part.unlink()
            arrived(-size)
            raise
        if digest.hexdigest() == jar.sha256:
            return True
        part.unlink()
        arrived(-size)
        return False


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file that gets its name when the block ends, unless the block has deleted it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{PART}{path.name}-")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        if part.exists():
            part.chmod(0o644)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
