"""Loads the configuration of a sweep from flags, environment and argorun.yaml; no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from argorun.config.file import DEFAULT_FILE, File, read
from argorun.config.load import NotConfigured, argocd_settings, duration, kafka_settings, timeouts, topic
from argorun.config.model import ArgoCD, CliSettings, Flags, Strict
from argorun.errors import UsageError
from argorun.kafka import names
from argorun.redact.secrets import Expansion, collecting

OLDER_THAN = 6 * 3600.0  # seconds
YOUNG = 3600.0  # seconds


class SweepFlags(msgspec.Struct, frozen=True, kw_only=True):
    """The command line of `argorun sweep`, as typed."""

    file: Path | None = None
    topics: tuple[str, ...] = ()
    older_than: str | None = None
    yes: bool = False
    dry_run: bool = False


class SweepConfig(Strict, frozen=True):
    """The configuration of a sweep, checked. Times are in seconds."""

    kafka: dict[str, str]
    prefixes: dict[str, str | None]  # each with the prefix of its consumer groups
    older_than: float
    longest_run: float  # how long a run of this argorun.yaml may take, in all
    cleanup: float  # for each Application
    explicit: bool = False  # --older-than was given: it decides, whatever a record says
    argocd: ArgoCD | None = None
    without_argocd: str = ""  # why there is none
    yes: bool = False  # this machine's clock may decide what is younger than an hour
    dry_run: bool = False
    secrets: tuple[str, ...] = ()

    def check_age_by_this_clock(self) -> None:
        """Raise UsageError where an unchecked clock would decide what is younger than an hour."""
        if self.older_than < YOUNG and not (self.yes or self.dry_run):
            raise UsageError(
                f"--older-than {self.older_than:.0f}s is less than an hour, and there is no Argo CD to "
                "read the time from: with a wrong clock, topics of runs in progress are deleted",
                "give --yes if the clock is right, or set ARGOCD_SERVER and ARGOCD_AUTH_TOKEN",
            )


def load(
    flags: SweepFlags,
    environment: Mapping[str, str],
    folder: Path,
    cli: CliSettings | None = None,
    mask: Callable[..., None] = lambda *secrets: None,
) -> SweepConfig:
    """The checked configuration of a sweep; where Argo CD is not configured, the sweep does without.

    `folder` is where argorun.yaml is looked for when no file is given; each secret goes to `mask`. Raises
    UsageError, as for a run.
    """
    path = flags.file or (folder / DEFAULT_FILE if (folder / DEFAULT_FILE).exists() else None)
    file, where = (read(path), str(path)) if path else (File(), "the command line")
    secrets, mask = collecting(environment, mask)
    expand = Expansion(environment, where, mask)
    kafka = kafka_settings(file, environment, expand, "no Kafka broker is configured")
    argocd, without = None, ""
    try:
        argocd = argocd_settings(file.argocd, environment, cli, path.parent if path else folder, expand, mask)
    except NotConfigured as e:
        without = e.message
    limits = timeouts(Flags(), file, where)
    longest = limits.run + limits.busy + limits.cleanup
    given = flags.older_than
    return SweepConfig(
        kafka=kafka,
        prefixes=prefixes(flags, file, where),
        older_than=max(OLDER_THAN, longest) if given is None else duration(given, "--older-than", least=0),
        explicit=given is not None,
        longest_run=longest,
        cleanup=limits.cleanup,
        argocd=argocd,
        without_argocd=without,
        yes=flags.yes,
        dry_run=flags.dry_run,
        secrets=tuple(sorted(secrets - {""})),
    )


def prefixes(flags: SweepFlags, file: File, where: str) -> dict[str, str | None]:
    """The prefixes to sweep: those of --topic where there are any, else argorun.yaml's."""
    written = [topic(t, f"{where}: topics[{i}]") for i, t in enumerate(file.topics)]
    known = {t.prefix: t.groups for t in written}
    for prefix in flags.topics:
        if problem := names.check_prefix(prefix):
            raise UsageError(f"--topic '{prefix}': {problem}")
    chosen = {p: known.get(p) for p in flags.topics} or known
    if not chosen:
        raise UsageError(
            "no topic is configured",
            "give topics: [{prefix:, parameter:}] in argorun.yaml, or --topic PREFIX",
        )
    return chosen
