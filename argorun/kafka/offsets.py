"""Committed offsets of consumer groups, asked for in a process of their own.

librdkafka's ListConsumerGroupOffsets crashes the process when the coordinator answers NOT_COORDINATOR, as
it does right after a broker's start (confluentinc/librdkafka#5040; seen with 2.16 on Kafka 4.3.1). A crash
here costs one answer; in the run's own process it would cost the clean-up.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

_START = 5.0  # seconds for the interpreter to start and to end


async def ask_elsewhere(
    properties: Mapping[str, object], groups: Collection[str], timeout: float
) -> dict[str, set[str]]:
    """The topics on which each group has committed offsets; a group without a clear answer is left out.

    `timeout` is in seconds and for each request. The properties go through a pipe: a command line can be
    read by others.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", __name__,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the run, which needs this answer to clean up
        env=os.environ | {"PYTHONPATH": _path()},
    )  # fmt: skip
    question = {"properties": dict(properties), "groups": list(groups), "timeout": timeout}
    try:
        async with asyncio.timeout(timeout * max(1, len(groups)) + _START):
            answer, _ = await process.communicate(json.dumps(question).encode())
    except TimeoutError:
        answer = b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _parsed(answer)


def _path() -> str:
    """Where the new interpreter finds argorun, wherever ours found it."""
    return os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))


def _parsed(answer: bytes) -> dict[str, set[str]]:
    """One JSON array `[group, topic, …]` a line; a crash leaves the lines before it."""
    lines = (json.loads(line) for line in answer.splitlines(keepends=True) if line.endswith(b"\n"))
    return {group: set(topics) for group, *topics in lines}


async def _answer(question: Mapping[str, object]) -> None:
    from argorun.kafka.client import Client
    from argorun.kafka.faults import BrokerError

    properties, groups, timeout = question["properties"], question["groups"], question["timeout"]
    assert isinstance(properties, dict)
    assert isinstance(groups, list)
    assert isinstance(timeout, (int, float))
    client = Client(properties)
    client.open()
    for group in groups:
        try:
            topics = await client.offsets_here(group, timeout=timeout)
        except BrokerError:
            continue
        print(json.dumps([group, *sorted(topics)]), flush=True)
    await client.close()


if __name__ == "__main__":
    asyncio.run(_answer(json.load(sys.stdin)))
