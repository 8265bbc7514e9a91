"""Checks that each topic's name reaches a test, and says why one does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from argorun.argocd.client import Client
from argorun.argocd.hooks import topic_providers
from argorun.argocd.hooks.ignored_fields import IgnoredFields
from argorun.argocd.hooks.topic_providers import TopicProvider
from argorun.argocd.http.errors import ApiError
from argorun.argocd.manifests import ignore_differences
from argorun.argocd.manifests.keys import find_node, key_of
from argorun.argocd.parameters import helm_command
from argorun.argocd.settle.settlement import destination
from argorun.argocd.types import Application, Json, Tree
from argorun.config.model import Config
from argorun.errors import AccessDenied, ArgoCDFailed, ArgorunError, UsageError
from argorun.humanize import did_you_mean
from argorun.redact.secrets import is_parameter
from argorun.run.state import RunTopic

ALIKE = 0.75  # how much a value must be like the one that nothing uses
UNVERIFIED = "set unverified: true at the topic to run the tests unchecked"
UNCHECKED = f"if a test gets it nevertheless, {UNVERIFIED}"


async def check(
    config: Config,
    client: Client,
    topics: Sequence[RunTopic],
    seen: Application,
    manifests: Sequence[Json],
    former: Sequence[Json],
    warn: Callable[[str], None],
) -> list[TopicProvider]:
    """Each topic's name must be in the manifests, rendered with the run's values, where a test gets it.

    `seen` is the Application; what it leaves alone in an object that is there already does not count, nor
    do pods that the sync does not restart. `former` is what the source renders to without the run's values.
    Returns what carries the names. Raises UsageError, which names the cause if it is known. For a
    topic with `unverified`, whose name is in the manifests or may be in a Secret, it only warns. Raises
    ArgoCDFailed, AccessDenied.
    """
    names = [t.name for t in topics]
    kept = await _left_alone(config, client, seen)
    applied = await asyncio.to_thread(kept.applied, manifests)
    found = await asyncio.to_thread(topic_providers.providers, names, applied, config.jobs, former)
    if not topic_providers.unreached(names, found):
        return found
    is_there = await _is_there(config, client, seen, found)
    missing = topic_providers.unreached(names, found, is_there)
    if not missing:
        return found
    helm = any(p.helm for t in topics if t.name in missing for p in t.topic.parameters)
    command = await client.helm_command(config.application, config.revision) if helm else ""
    passed = helm_command.parameters(command)
    # Another replica of argocd-server may have rendered the Application as it was a moment before.
    with contextlib.suppress(ApiError):
        manifests = await client.manifests(config.application, config.revision)
    applied = await asyncio.to_thread(kept.applied, manifests)
    found = await asyncio.to_thread(topic_providers.providers, names, applied, config.jobs, former)
    missing = topic_providers.unreached(missing, found, is_there)
    secrets = await asyncio.to_thread(topic_providers.secrets_read, applied, config.jobs)
    for t in topics:
        topic, name = t.topic, t.name
        if name not in missing:
            continue
        check_pins(config, [t], passed)
        holders = topic_providers.holders(name, manifests)
        if not (topic.unverified and (secrets or holders)):
            rendered = await asyncio.to_thread(topic_providers.providers, [name], manifests, config.jobs)
            keeping = [f"{why}; {UNCHECKED}" for why in topic_providers.not_restarted(name, found)]
            obstacles = [*topic_providers.applied_too_late(name, found), *keeping, *kept.describe(rendered)]
            known = [*(passed or ()), *(await _values(config, client) if helm else ())]
            raise _unreached(config, t, holders, obstacles, secrets, passed, known)
        why = f"it is only in {', '.join(holders)}"
        if not holders:
            hides = f"Argo CD hides the values of {_secrets(secrets)}"
            why = f"no manifest of {config.application} holds it, and {hides}"
        warn(f"cannot check whether a test gets {name}: {why} (unverified: true)")
    return found


async def _values(config: Config, client: Client) -> Sequence[str]:
    """The names of the chart's values, where Argo CD tells: it does for the source as it is now."""
    with contextlib.suppress(ArgoCDFailed, AccessDenied):
        seen = await client.application(config.application)
        return list(await client.chart_values(config.application, seen) or ())
    return ()


async def _is_there(
    config: Config, client: Client, seen: Application, found: Sequence[TopicProvider]
) -> Callable[[Json], bool]:
    """A check whether a rendered object is in the cluster already; the tree is read only where one may be."""
    tree = await client.tree(config.application) if any(c.keeps for c in found) else Tree()
    namespace = destination(seen)
    return lambda manifest: find_node(tree, key_of(manifest, namespace)) is not None


async def _left_alone(config: Config, client: Client, seen: Application) -> IgnoredFields:
    """The fields that the sync does not write; the tree is read only if there may be any."""
    rules = ignore_differences.respected(seen.spec, f"show {config.application}")
    tree = await client.tree(config.application) if rules else Tree()
    return IgnoredFields(rules, destination(seen), tree)


def check_pins(config: Config, topics: Sequence[RunTopic], passed: dict[str, str] | None) -> None:
    """Raise UsageError (2) where Helm gets another value than the Application's: only a file in Git does so.

    `passed` is what Helm gets, None where that is not known. Source: reposerver/repository/repository.go,
    mergeSourceParameters (docs/argocd-facts.md#files-in-git-win).
    """
    app = config.application
    for parameter, name in ((p, t.name) for t in topics for p in t.topic.parameters):
        if parameter.helm is None or passed is None or passed.get(parameter.helm) == name:
            continue
        value = passed.get(parameter.helm)
        gets = "it gets none" if value is None else f"it gets '{helm_command.plain(value)}'"
        pins = ", ".join(f"{n}={_safe(n, v)}" for n, v in sorted(passed.items())) or "an empty list"
        raise UsageError(
            f"Helm does not get the Application's {parameter.helm}: {gets}",
            f"a file in Git, .argocd-source.yaml or .argocd-source-{app.name}.yaml beside the chart, "
            f"replaces the parameters of {app} with {pins}: remove helm.parameters from it",
        )


def _unreached(
    config: Config,
    t: RunTopic,
    holders: Sequence[str],
    obstacles: Sequence[str],
    secrets: Sequence[str],
    passed: dict[str, str] | None,
    known: Sequence[str],
) -> ArgorunError:
    """The error for a topic that reaches no test; `known` are names of values that may have been meant."""
    app, places = config.application, ", ".join(map(str, t.topic.parameters))
    what, hints = f"no manifest of {app} uses {places}", list[str]()
    if obstacles:
        what = f"no test or workload of {app} gets the topic's name from {places}"
        hints += obstacles
    elif holders:
        what = f"no test or workload of {app} reads the topic's name from {places}"
        hints.append(f"{t.name} is only in {', '.join(holders)}, which passes it to no test")
        hints += [] if secrets else [UNCHECKED]
    elif passed is not None and not app.namespace:
        names = [p.helm for p in t.topic.parameters if p.helm]
        others = [k for k in known if k not in names]
        meant = next(filter(None, (did_you_mean(n, others, ALIKE) for n in names)), "")
        if not secrets:  # a template of theirs may use it
            what = f"no template in {app} uses {', '.join(names)}"
        what += f"; {meant}" if meant else ""
        hints.append("Helm gets it, and nothing uses it: is the parameter spelled as in the chart?")
    else:
        # Outside Argo CD's own namespace the file is called .argocd-source-NAMESPACE_APP.yaml, but not by the
        # validation that shows how Helm is called (source: util/argo/argo.go, verifyGenerateManifests,
        # and server/application/application.go, GetManifests).
        own = f"{app.namespace}_{app.name}" if app.namespace else app.name
        files = f".argocd-source.yaml or .argocd-source-{own}.yaml"
        hints.append(f"the parameter may be misspelled, or pinned by {files} in Git")
    if secrets:
        hints.append(f"if a test gets it from {_secrets(secrets)}, whose values Argo CD hides, {UNVERIFIED}")
    return UsageError(what, "\n".join(hints))


def _secrets(names: Sequence[str]) -> str:
    return f"Secret{'' if len(names) == 1 else 's'} {', '.join(names)}"


def _safe(name: str, value: str) -> str:
    return "***" if is_parameter(name) else helm_command.plain(value)
