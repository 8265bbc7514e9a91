"""The words of `argorun init`. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from argorun.argocd.http.errors import policy_line
from argorun.argocd.parameters.kind import Candidate
from argorun.argocd.parameters.topic_like import CERTAIN
from argorun.argocd.types import Application
from argorun.config.document import DEFAULT_FILE
from argorun.config.keys import REPOSITORY
from argorun.errors import ArgorunError, UsageError
from argorun.humanize import count
from argorun.init.hooks import PostSyncHook
from argorun.init.look import Found
from argorun.run.checks import catalog
from argorun.run.checks.check import Outcome

DOCS = f"{REPOSITORY}/blob/main/docs"
READING = {
    catalog.SOURCE: "troubleshooting.md",
    catalog.OWNER: "how-to/owned-applications.md",
    catalog.AUTO_SYNC: "how-to/auto-sync.md",
    catalog.PERMISSIONS: "how-to/permissions.md",
}
WAYS = {"argocd": "--server, ARGOCD_SERVER, or `argocd login`"}
APPLICATION = "application: argorun init APPLICATION"
A_TOKEN = (
    "argorun's account: `argocd account generate-token --account argorun`, then export ARGOCD_AUTH_TOKEN\n"
    "your own account: `argocd login`, whose token argorun uses\n"
    f"what the account must be allowed to do: {DOCS}/how-to/permissions.md"
)
NO_HOOK = "No PostSync Job or Pod is rendered now: a chart may make its hooks only when a topic is set."
MOST = 8  # names that are listed


def listed(names: Sequence[str]) -> str:
    """The names, not too many."""
    rest = len(names) - MOST
    return ", ".join(names[:MOST]) + (f" and {rest} more" if rest > 0 else "")


def lacking(lacks: Sequence[str]) -> UsageError:
    """The error for what nobody has answered."""
    them = "this is" if len(lacks) == 1 else "these are"
    return UsageError(
        f"no argorun.yaml was written: {them} missing, and there is no terminal to ask at", "\n".join(lacks)
    )


# -- checks ---------------------------------------------------------------------------------------------


def of_check(outcome: Outcome) -> Iterator[str]:
    """What came of a check: a line for its fact, its warnings and its error, and where to read on."""
    if outcome.error is not None:
        yield from of_error(outcome.error)
        yield from (f"  {line}" for line in reading(outcome.check.name))
        return
    if outcome.fact:
        yield f"{outcome.check.name}: {outcome.fact}"
    yield from (f"! {text}" for text in outcome.warnings)


def of_error(error: ArgorunError) -> Iterator[str]:
    yield f"! {error.message}"
    yield from (f"  {line}" for line in error.hint.splitlines())


def reading(check: str) -> list[str]:
    """Where to read on about a check."""
    return [f"read on: {DOCS}/{page}" for c, page in READING.items() if c.name == check]


def unfit(error: ArgorunError) -> ArgorunError:
    """The error for an Application that no run can use, with where to read on."""
    if type(error) is not UsageError:
        return error
    return UsageError(error.message, "\n".join(filter(None, [error.hint, *reading(catalog.SOURCE.name)])))


def notes(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What to know of who else changes the Application."""
    for outcome in outcomes:
        if outcome.error is None and outcome.check.name == catalog.OWNER.name and not outcome.warnings:
            continue
        if outcome.error is None and outcome.fact == "off":
            continue
        yield from of_check(outcome)


# -- the Application ------------------------------------------------------------------------------------


def called(app: Application, own: str) -> str:
    """How an Application is named in argorun.yaml; `own` is Argo CD's own namespace."""
    namespace = app.metadata.namespace
    inside = not own or not namespace or namespace == own
    return app.metadata.name if inside else f"{namespace}/{app.metadata.name}"


def option(name: str, app: Application) -> str:
    """An Application in a choice, with what keeps a run from it."""
    spec = app.spec
    source = spec.get("source") or {}
    where = str(source.get("path") or source.get("chart") or "")
    if spec.get("sources"):
        where = "several sources, which argorun does not support yet"
    elif spec.get("sourceHydrator"):
        where = "a source hydrator, which ignores parameters"
    return f"{name}  ({where})" if where else name


def about(found: Found) -> Iterator[str]:
    """What was found of an Application."""
    app, source = found.app, found.app.spec.get("source") or {}
    at = f"{app.metadata.name}: {app.status.source_type}, {source.get('path') or source.get('chart') or ''}"
    if found.why_not_rendered:
        yield at
        yield f"! it does not render as it is: {found.why_not_rendered}"
    else:
        yield f"{at}, renders to {count(len(found.manifests), 'object')}"


# -- parameters and tests -------------------------------------------------------------------------------


def candidate(c: Candidate) -> str:
    """A parameter in a choice."""
    now = f"now {c.value}" if c.value else "empty now"
    return f"{c.typed}  ({now}, {c.seen})"


def about_parameters(found: Found) -> Iterator[str]:
    """What to know for the choice of a parameter."""
    kind = found.kinds[0]
    what = "Helm parameter" if kind == "helm" else "ConfigMap's key"
    if found.candidates:
        yield f"Which {what} takes the topic's name? (several with commas; another one can be typed)"
        return
    yield f"Which {what} takes the topic's name? {none_found(found)}"


def none_found(found: Found) -> str:
    """Why no parameter was found, and where to look."""
    if "helm" not in found.kinds and found.why_not_rendered:
        return "As it does not render, its ConfigMaps are not known; write CONFIGMAP/KEY."
    if "helm" not in found.kinds:
        return (
            "No ConfigMap has a key that looks like a topic's; write CONFIGMAP/KEY. A name that stands in a "
            "Deployment itself must go into a ConfigMap first."
        )
    if found.values is None:
        repository = str((found.app.spec.get("source") or {}).get("repoURL", ""))
        shown = "REPOSITORY" if "@" in repository else repository
        return (
            "The Application has none that looks like it, and Argo CD does not show the chart's values to "
            "this token: see the chart's values.yaml, or add to Argo CD's policy.csv:\n"
            + policy_line(found.grantee, "repositories", "get", shown)
        )
    return "None of the chart's values looks like it; see its values.yaml and templates."


def no_parameter(found: Found) -> str:
    """The line for a parameter that nobody has chosen."""
    best = [c for _, c in found.candidates]
    if not best:
        return f"parameter: --parameter NAME. {none_found(found)}"
    certain = [c for c in best if c.likeness == CERTAIN] or best
    return f"parameter: --parameter NAME, one of: {listed([candidate(c) for c in certain])}"


def about_tests(hooks: Sequence[PostSyncHook]) -> Iterator[str]:
    """What to know for the choice of tests."""
    if hooks:
        yield "Which of the PostSync hooks are the tests? They decide the verdict. (several with commas)"
    else:
        yield NO_HOOK


def chosen_tests(hooks: Sequence[PostSyncHook]) -> Iterator[str]:
    """What was taken as the tests."""
    if hooks:
        yield f"tests: {', '.join(h.name for h in hooks)} ({hooks[0].seen})"
    else:
        yield "tests: every PostSync Job and Pod (none is rendered now: a chart may need a topic for that)"


def next_steps(shown: str, unset: Sequence[str]) -> Iterator[str]:
    """What to do after the file was written; `unset` are the variables that it needs."""
    file = "" if shown == DEFAULT_FILE else f" -f {shlex.quote(shown)}"
    if unset:
        yield f"set in the environment first: {', '.join(unset)}"
    yield f"next: argorun run --dry-run{file}   checks everything, touches nothing"
