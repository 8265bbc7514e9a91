"""Finds the rendered objects that a ConfigMap's name in argorun.yaml means. Pure.

Kustomize puts `namePrefix` and `nameSuffix` on after `patches`, and generators add a hash after both. A
patch's target matches an object's original name or the one it has by then, as an anchored regular expression
(sources: kustomize's api/internal/target, configureBuiltinTransformers; api/resmap, Select; api/hasher).
Where the outermost kustomization.yaml has an affix, only the rendered names show it: all of them have it.
See docs/argocd-facts.md#kustomize-renames-after-patches.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from argorun.argocd.types import Json

HASH = re.compile(r"-[2456789bcdfghkmt]{10}$")  # of a generated ConfigMap or Secret
NEVER_RENAMED = ("CustomResourceDefinition", "APIService", "Namespace")

Affix = tuple[str, str]  # what stands before a name and behind it


def rendered_name(manifest: Json) -> str:
    return str((manifest.get("metadata") or {}).get("name", ""))


def base_name(manifest: Json) -> str:
    """A rendered object's name without a generator's hash."""
    name = rendered_name(manifest)
    return HASH.sub("", name) if manifest.get("kind") in ("ConfigMap", "Secret") else name


class Names:
    """The names of what a source renders to. `spec` is the Application's."""

    def __init__(self, spec: Json, manifests: Sequence[Json]) -> None:
        options = (spec.get("source") or {}).get("kustomize") or {}
        self._set: Affix = (options.get("namePrefix") or "", options.get("nameSuffix") or "")
        self._manifests = manifests
        self._of_kind: dict[str, set[str]] = {}  # base names
        for m in manifests:
            self._of_kind.setdefault(str(m.get("kind")), set()).add(base_name(m))
        self._taken: dict[tuple[object, ...], Counter[str]] = {}
        names = [base_name(m) for m in manifests if m.get("kind") not in NEVER_RENAMED and rendered_name(m)]
        self._shared: Affix = (common_prefix(names), common_suffix(names))

    def configmaps(self, name: str, key: str | None = None) -> list[Json]:
        """The ConfigMaps, with this key where one is given, that may be meant by a name.

        A person may write the name as the source has it, or as it is rendered. More than one base name among
        them: it is ambiguous.
        """
        ranked: dict[int, list[Json]] = {}
        for m in self._manifests:
            has_key = key is None or key in (m.get("data") or {})
            if m.get("kind") == "ConfigMap" and has_key and (affix := self._affix(m, name)) is not None:
                ranked.setdefault(0 if self._outermost(affix) else 1, []).append(m)
        return ranked[min(ranked)] if ranked else []

    def target(self, manifest: Json, name: str = "", hints: Iterable[Affix] = ()) -> str:
        """The regular expression by which a patch reaches a rendered object; see `candidates`."""
        return quoted(self.candidates(manifest, name, hints))

    def candidates(self, manifest: Json, name: str = "", hints: Iterable[Affix] = ()) -> list[str]:
        """The names that a rendered object may have when the patches are applied.

        `name` is what a person calls it; `hints` are the affixes of objects that are called by less than
        their rendered names.
        """
        rendered = base_name(manifest)
        if name and name not in (rendered, rendered_name(manifest)):
            return [name]
        hints = list(hints)
        before, behind = zip(*hints, strict=True) if hints else ((), ())
        prefixes = self._prefixes(before)
        suffixes = self._suffixes(behind)
        found = dict.fromkeys(c for p in prefixes for x in suffixes if (c := stripped(rendered, p, x)))
        kind = str(manifest.get("kind"))
        if hints or any(self._set):
            own = Counter({stripped(rendered, p, x) for p in prefixes for x in suffixes})
            taken = self._bare(kind, tuple(prefixes), tuple(suffixes)) - own
        else:  # most likely there is no affix at all
            others = self._of_kind.get(kind, set())
            taken = Counter(
                c for c in found if c != rendered and any(o != rendered and c in o for o in others)
            )
        return [c for c in found if c not in taken] or [rendered]

    def _bare(self, kind: str, prefixes: tuple[str, ...], suffixes: tuple[str, ...]) -> Counter[str]:
        """Of how many objects of a kind this may be the name without an affix, counted once for all."""
        key = kind, prefixes, suffixes
        if key not in self._taken:
            names = self._of_kind.get(kind, set())
            bare = ({stripped(n, p, x) for p in prefixes for x in suffixes} for n in names)
            self._taken[key] = Counter(b for each in bare for b in each)
        return self._taken[key]

    def hint(self, manifest: Json, name: str) -> Affix | None:
        """The affix of an object that `name` gives without it; None if there is none."""
        affix = self._affix(manifest, name)
        return affix if affix and any(affix) else None

    def _affix(self, manifest: Json, name: str) -> Affix | None:
        """What surrounds this name in an object's; None if the object cannot be meant by it."""
        if name == rendered_name(manifest):
            return ("", "")
        found = [a for a in splits(base_name(manifest), name) if self._outermost(a) or apart(a)]
        return min(found, key=lambda a: (not self._outermost(a), len(a[0])), default=None)

    def _outermost(self, affix: Affix) -> bool:
        """Whether it may be the outermost kustomization's affix alone, or none at all."""
        inside = affix[0] in self._prefixes() and affix[1] in self._suffixes()
        return inside or affix == ("", "")

    def _prefixes(self, hints: Iterable[str] = ()) -> list[str]:
        """What the outermost kustomization may have put before every name."""
        return [self._set[0]] if self._set[0] else cuts(common_prefix([self._shared[0], *hints]))

    def _suffixes(self, hints: Iterable[str] = ()) -> list[str]:
        if self._set[1]:
            return [self._set[1]]
        return [s[::-1] for s in cuts(common_suffix([self._shared[1], *hints])[::-1])]


def splits(whole: str, name: str) -> Iterator[Affix]:
    """What stands before and behind a name wherever it occurs; the whole name included."""
    at = whole.find(name)
    while at != -1:
        before, behind = whole[:at], whole[at + len(name) :]
        yield before, behind
        at = whole.find(name, at + 1)


def apart(affix: Affix) -> bool:
    """Whether separators set it off from the name."""
    before, behind = affix
    return not (before and before[-1].isalnum()) and not (behind and behind[0].isalnum())


def cuts(shared: str) -> list[str]:
    """The prefixes after which a name may begin: none, up to each separator, and all of it."""
    ends = [i for i, sign in enumerate(shared, 1) if not sign.isalnum() or i == len(shared)]
    return ["", *(shared[:i] for i in ends)]


def stripped(name: str, prefix: str, suffix: str) -> str:
    """A name without its affix; empty if it has not got it, or too little is left."""
    if not (name.startswith(prefix) and name.endswith(suffix) and len(name) > len(prefix) + len(suffix)):
        return ""
    bare = name[len(prefix) : len(name) - len(suffix)]
    return bare if bare[0].isalnum() and bare[-1].isalnum() else ""


def common_prefix(names: Sequence[str]) -> str:
    if not names:
        return ""
    low, high = min(names), max(names)  # whatever these two share, the names between them share
    return low[: next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))]


def common_suffix(names: Sequence[str]) -> str:
    return common_prefix([n[::-1] for n in names])[::-1]


def quoted(names: Iterable[str]) -> str:
    return "|".join(n.replace(".", r"\.") for n in names)
