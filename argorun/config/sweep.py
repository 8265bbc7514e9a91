"""Loads the configuration of a sweep from flags, environment and argorun.yaml; no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from argorun.config import checks, connection, missing, topics
from argorun.config.file import read
from argorun.config.flags import check_where
from argorun.config.inputs import Inputs
from argorun.config.load import CheckProperties, kafka_settings, timeouts
from argorun.config.model import ArgoCD, CliSettings, Strict
from argorun.config.problems import Problems
from argorun.errors import UsageError
from argorun.redact.secrets import collecting

OLDER_THAN = 6 * 3600.0  # seconds
YOUNG = 3600.0  # seconds


class SweepFlags(msgspec.Struct, frozen=True, kw_only=True):
    """The command line of `argorun sweep`, as typed."""

    file: Path | None = None
    topics: tuple[str, ...] = ()
    older_than: str | None = None
    server: str | None = None
    ca: str | None = None
    bootstrap_servers: str | None = None
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
    sources: dict[str, str] = {}  # as in Config

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
    check_properties: CheckProperties = lambda properties: (),
) -> SweepConfig:
    """The checked configuration of a sweep; where Argo CD is not configured, the sweep does without.

    `folder` is where argorun.yaml is looked for when no file is given; each secret goes to `mask`. Raises
    UsageError with everything that is wrong or missing, as for a run.
    """
    secrets, mask = collecting(environment, mask)
    problems = Problems()
    check_sweep(flags, folder, problems)
    written = read(flags.file, folder, problems, mask)
    inputs = Inputs(written, environment, cli or CliSettings(), folder, problems, mask)
    kafka = kafka_settings(inputs, flags.bootstrap_servers, check_properties)
    before = len(inputs.lacks)
    argocd = connection.argocd(inputs, flags.server, flags.ca)
    without = inputs.lacks[before].message if len(inputs.lacks) > before else ""
    del inputs.lacks[before:]
    chosen = topics.of_sweep(inputs, flags.topics)
    problems.raise_any()
    if inputs.lacks:
        typed = flags != SweepFlags(file=flags.file)
        raise missing.error("sweep", inputs, typed=typed)
    limits = timeouts(written.file.timeouts)
    longest = limits.run + limits.busy + limits.cleanup
    given = flags.older_than
    return SweepConfig(
        kafka=kafka,
        prefixes=chosen,
        older_than=max(OLDER_THAN, longest) if given is None else checks.duration_or_none(given),
        explicit=given is not None,
        longest_run=longest,
        cleanup=limits.cleanup,
        argocd=argocd,
        without_argocd=without,
        yes=flags.yes,
        dry_run=flags.dry_run,
        secrets=tuple(sorted(secrets - {""})),
        sources=inputs.sources,
    )


def check_sweep(flags: SweepFlags, folder: Path, problems: Problems) -> None:
    """The flags of `argorun sweep`."""
    check_where(flags.server, flags.ca, flags.bootstrap_servers, folder, problems)
    for prefix in flags.topics:
        with problems.of("--topic"):
            checks.prefix(prefix)
    if flags.older_than is not None:
        with problems.of("--older-than"):
            checks.duration_or_none(flags.older_than)
