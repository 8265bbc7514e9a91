"""Asks for the topics: the parameters that take their names, and their prefixes."""

from __future__ import annotations

import re

from argorun.argocd.parameters.kind import Candidate
from argorun.argocd.parameters.kinds import KINDS
from argorun.config import checks
from argorun.config.model import Parameter
from argorun.config.problems import Wrong
from argorun.errors import UsageError
from argorun.humanize import misspelt
from argorun.init import texts
from argorun.init.answers import TopicAnswer
from argorun.init.look import Found
from argorun.init.questions import Questions
from argorun.init.wishes import InitFlags, text
from argorun.kafka import names
from argorun.run.checks.rendering import is_known

Chosen = tuple[str, object, str, str]
"""A parameter: its kind, its place, its value now, and where it was seen."""


def topics(flags: InitFlags, found: Found, ask: Questions, lacks: list[str]) -> list[TopicAnswer]:
    """The topics; what nobody has answered goes to `lacks`."""
    chosen = _chosen(flags, found, ask, lacks)
    if flags.topics and chosen and len(flags.topics) != len(chosen):
        raise UsageError(
            f"--topic is given {len(flags.topics)} times, for {len(chosen)} parameters",
            "give one --topic for each parameter",
        )
    made = []
    for i, (kind, place, value, seen) in enumerate(chosen):
        suggested = prefix(value, found.app.metadata.name)
        if flags.topics:
            suggested = flags.topics[i]
        elif ask.can_ask:
            of = "" if len(chosen) == 1 else f" of the topic in {Parameter(**{kind: place})}"  # type: ignore[arg-type]
            suggested = ask.ask(
                f"Prefix{of} (the topic is PREFIX_<unix seconds>_<8 hex>)", suggested, checks.prefix
            )
        made.append(TopicAnswer(suggested, Parameter(**{kind: place}), seen))  # type: ignore[arg-type]
    if made and not ask.can_ask:
        ask.say(
            *(f"topic: {t.prefix}_…, in {t.parameter}" + (f" ({t.seen})" if t.seen else "") for t in made)
        )
    return made


def prefix(value: str, application: str) -> str:
    """A prefix by what is there now: the present topic's name, else the Application's."""
    wanted = names.prefix_of(value) or application
    allowed = re.sub(r"[^a-zA-Z0-9._-]+", "_", wanted)[: names.MAX_PREFIX]
    return allowed if names.check_prefix(allowed) is None else "topic"


def _chosen(flags: InitFlags, found: Found, ask: Questions, lacks: list[str]) -> list[Chosen]:
    known = {c.typed: (k, c.place, c.value, c.seen) for k, c in found.candidates}
    candidates = [c for _, c in found.candidates]

    def typed(value: str) -> Chosen:
        return known.get(value) or (found.kinds[0], place(found, value), "", "")

    def check(value: str) -> None:
        try:
            typed(checks.helm_parameter(text(value)))
        except UsageError as e:
            raise Wrong(e.message, e.hint) from None

    if flags.parameters:
        return [typed(p) for p in flags.parameters]
    if ask.can_ask:
        ask.say("", *texts.about_parameters(found))
        if not candidates:
            return [
                typed(p) for p in _several(ask.ask("Parameter", "", lambda v: list(map(check, _several(v)))))
            ]
        best = [0] if only(candidates) else []
        options = [texts.candidate(c) for c in candidates]
        answers = ask.choose("Parameter", options, best, check, several=True)
        return [typed(candidates[a].typed if isinstance(a, int) else a) for a in answers]
    if the_one := only(candidates):
        return [typed(the_one.typed)]
    lacks.append(texts.no_parameter(found))
    return []


def _several(value: str) -> list[str]:
    """Names with commas between them; a name's own comma stands behind a backslash, as Helm has it."""
    return [name.strip() for name in re.split(r"(?<!\\),", value) if name.strip()] or [""]


def place(found: Found, typed: str) -> object:
    """The place that was typed. Raises UsageError where the Application has none like it."""
    name, kind = found.app.metadata.name, KINDS[found.kinds[0]]
    made = kind.typed(typed)
    if found.manifests:
        kind.check_rendered(name, [kind.for_topic(made, "topic")], found.manifests, found.app.spec)
    if found.values and not is_known(typed, found.values) and (near := misspelt(typed, found.values)):
        raise UsageError(f"the chart of {name} has no value {typed}", f"did you mean {near}?")
    return made


def only(candidates: list[Candidate]) -> Candidate | None:
    """The candidate that looks more like it than any other."""
    best = [c for c in candidates if c.likeness == candidates[0].likeness]
    return best[0] if len(best) == 1 else None
