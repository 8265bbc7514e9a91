"""Checks of Kafka: that it answers, and that topics may be created and deleted."""

from __future__ import annotations

from argorun.humanize import count
from argorun.kafka.spec import TopicExists
from argorun.kinds import NoticeKind
from argorun.run.checks.check import Context
from argorun.run.plan import draw, topic_spec


async def answers(context: Context) -> str:
    """Whether Kafka answers: how many brokers, where, and how it was logged in."""
    cluster, kafka = await context.kafka.cluster(), context.config.kafka
    source = context.config.sources.get("kafka.bootstrap.servers", "")
    where = kafka["bootstrap.servers"] + (f" ({source})" if source else "")
    protocol = kafka.get("security.protocol", "plaintext").upper()
    user = f" as {kafka['sasl.username']}" if kafka.get("sasl.username") else ""
    return f"{count(cluster.brokers, 'broker')} at {where}, cluster {cluster.id}, {protocol}{user}"


async def topics(context: Context) -> str:
    """Whether the topics may be created and deleted; a name that is taken is replaced by a new one."""
    state, config = context.state, context.config
    now = context.client.clock.now
    state.topics = state.topics or draw(config.topics, now())
    while True:
        try:
            await context.kafka.preflight({t.name: topic_spec(t.topic) for t in state.topics})
        except TopicExists as e:
            context.warn(f"{e}; using another name", NoticeKind.FOREIGN)
            pairs = zip(state.topics, draw(config.topics, now()), strict=True)
            state.topics = [new if old.name == e.name else old for old, new in pairs]
        else:
            break
    may = "created" if config.keep_topics else "created and deleted"
    return f"{', '.join(f'{t.prefix}_*' for t in config.topics)} may be {may}"


async def groups(context: Context) -> str:
    """Whether the consumer groups of the topics may be deleted."""
    named = [(t.topic.groups, t.name) for t in context.state.topics if t.topic.groups]
    for prefix, name in named:
        await context.kafka.check_groups(prefix, name)
    return f"{', '.join(f'{p}*' for p, _ in named)} may be deleted" if named else "none are configured"
