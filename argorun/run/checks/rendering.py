"""Checks of what the Application renders to: the hooks, the tests, the parameter."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from argorun.argocd import owners
from argorun.argocd.hooks import lint
from argorun.argocd.hooks.ownership import Rendered, conflict_error, name_conflicts
from argorun.argocd.http.errors import ApiError
from argorun.argocd.manifests.hooks import hooks_of, required
from argorun.argocd.parameters import helm_command
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.kinds import KINDS
from argorun.argocd.parameters.spec import check_rendered
from argorun.argocd.settle.settlement import destination
from argorun.argocd.types.messages import cause
from argorun.errors import ArgoCDFailed, UsageError
from argorun.humanize import count, misspelt
from argorun.kinds import NoticeKind
from argorun.run.checks.check import Context, Undecided
from argorun.run.plan import settings
from argorun.run.topic_reach import check_pins

# What is said of a revision that does not exist (source: Argo CD's util/git/client.go; git's own words).
UNKNOWN_REVISION = ("unable to resolve", "couldn't find remote ref", "not our ref", "did not match any file")


async def renders(context: Context) -> str:
    """What the source renders to without the run's values; nothing if a chart needs them to render."""
    config, app, wanted = context.config, context.app, _settings(context)
    try:
        manifests = await context.client.manifests(app, config.revision)
    except ApiError as e:
        if not (config.revision or any(KINDS[s.kind].NEEDS_MANIFESTS for s in wanted)):
            return context.undecided(f"without the topic's name {app} does not render: {cause(e.text)}")
        raise _not_rendered(context, cause(e.text)) from None
    context.state.former = manifests
    check_rendered(str(app), wanted, manifests, context.seen.spec)
    return f"{count(len(manifests), 'object')}, {count(len(hooks_of(manifests)), 'hook')}"


def _not_rendered(context: Context, why: str) -> UsageError:
    app, revision = context.app, context.config.revision
    if revision and any(said in why.lower() for said in UNKNOWN_REVISION):
        brief = why.rpartition("fatal: ")[2]  # git's own words, where they are quoted
        return UsageError(
            f"the repository of {app} has no commit, branch or tag {revision} ({brief})",
            "give --revision a commit that is pushed",
        )
    return UsageError(f"Argo CD cannot render {app}{f' at revision {revision}' if revision else ''}: {why}")


async def tests(context: Context) -> str:
    """Whether the test Jobs are hooks, as far as that is certain without the run's values.

    A chart may make its hooks only with them, Kustomize cannot; and a Job that is there as something else
    becomes no hook by a value. The rest is checked once the values are in.
    """
    manifests, jobs = context.state.former, context.config.jobs
    taken = [k for k in KINDS.values() if context.seen.status.source_type == k.SOURCE_TYPE]
    complete = not any(kind.ADDS_OBJECTS for kind in taken)
    gap = lint.gap(manifests, jobs)
    if manifests and gap is not None and (complete or gap.taken or gap.misspelt):
        raise gap.error(context.app)
    if complete or jobs:
        lint.check_ends(manifests, jobs)
    for text in lint.warnings(manifests, jobs) if context.config.dry_run else ():
        context.warn(text, NoticeKind.HOOKS)
    if gap is None:
        return ", ".join(f"{h.name} ({', '.join(h.phases)})" for h in required(hooks_of(manifests), jobs))
    named = ", ".join(jobs) or "PostSync Jobs and Pods"
    them = "them" if hooks_of(manifests) else "its hooks"
    return context.undecided(f"{named}: not rendered yet (the chart creates {them} only when a topic is set)")


async def names(context: Context) -> str:
    """Whether no other Application has a hook of the same name in the cluster."""
    client, app = context.client, context.app
    rendered = Rendered(context.state.former, destination(context.seen), (), client.instance_label)
    if not rendered.hooks():
        return Undecided("no hook with a fixed name is rendered yet")
    conflicts = await name_conflicts(client, app, await client.tree(app), rendered.hooks())
    if conflicts and not context.config.force_owned:
        raise conflict_error(app, conflicts)
    for hook in conflicts:
        text = f"{hook.key} belongs to {hook.by}: the sync deletes it, and creates this run's"
        context.warn(text, NoticeKind.FOREIGN)
    return "no other Application has hooks of these names"


async def values(context: Context) -> str:
    """Whether the chart knows the parameters, as far as Argo CD tells; the error names the nearest one.

    A template may use a value that the chart does not list. So only a name that is nearly another's is taken
    for misspelt.
    """
    wanted = [(t, p.helm) for t in context.config.topics for p in t.parameters if p.helm]
    if not wanted:
        return "checked with the rendering"
    known = None
    with contextlib.suppress(ArgoCDFailed):  # the rendering with the values shows it, too
        known = await context.client.chart_values(context.app, context.seen)
    if known is None:
        return Undecided(
            "only a run can tell (Argo CD shows the chart's values to a role with: repositories, get)"
        )
    unknown = [(t, name) for t, name in wanted if not is_known(name, known)]
    for topic, name in unknown:
        if not topic.unverified and (near := misspelt(name, known)):
            raise UsageError(
                f"the chart of {context.app} has no value {name}; did you mean {near}?",
                f"if a template uses {name} nevertheless, set unverified: true at the topic",
            )
    names = ", ".join(name for _, name in unknown)
    if names and context.config.dry_run:
        text = f"the chart's values have no {names}: does a template use it?"
        context.warn(text, NoticeKind.UNCHECKED)
    if names:
        return ""
    return f"the chart has {', '.join(name for _, name in wanted)}"


def is_known(name: str, known: Iterable[str]) -> bool:
    """Whether a value is one of these, holds some or is part of one: `a.b` among `a.b.c`, `a.b[0]`, `a`."""
    return any(
        k == name or k.startswith((f"{name}.", f"{name}[")) or name.startswith((f"{k}.", f"{k}["))
        for k in known
    )


async def files_in_git(context: Context) -> str:
    """Whether a file in Git overrides the run's values. Nothing is written: see Client.helm_command."""
    config, wanted = context.config, _settings(context)
    changed = owners.changed(context.seen, wanted, context.state.former)[1]
    helm = (changed.spec.get("source") or {}).get("helm")
    if not helm or not any(p.helm for topic in config.topics for p in topic.parameters):
        return "checked with the rendering"
    command = await context.client.helm_command(context.app, config.revision, helm)
    passed = await asyncio.to_thread(helm_command.parameters, command)
    check_pins(config, context.state.topics, passed)
    if passed is None:
        return Undecided("Argo CD does not say how it calls Helm")
    return "none overrides the parameters"


def _settings(context: Context) -> list[Setting]:
    return settings(context.config, context.state.topics)
