"""Composition: from the flags of a run or a sweep to its exit code."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from argorun import __version__, event_loop, signals
from argorun.config.argocd_cli import stored
from argorun.config.document import DEFAULT_FILE
from argorun.config.flags import check_outputs
from argorun.config.load import load, load_parts
from argorun.config.model import Flags
from argorun.config.problems import Problems
from argorun.config.sweep import SweepFlags
from argorun.config.sweep import load as load_sweep
from argorun.errors import ArgorunError, CleanupIncomplete, InternalError, unhandled
from argorun.init.questions import Questions
from argorun.init.target import target, write
from argorun.init.wishes import Given, InitFlags
from argorun.reporters.checklist import Checklist, Document, Drawn
from argorun.reporters.dispatcher import Dispatcher
from argorun.reporters.log_files import LogFiles
from argorun.reporters.open import open_reporters
from argorun.reporters.stderr import masked_stderr, redactor
from argorun.reporters.streams import StandardStreams, usable

LAST_LINES = 0.4  # seconds for a slow reader of the last lines, where a signal has ended the work


@dataclasses.dataclass(frozen=True)
class Outputs:
    """How a run is shown, and where its events and logs are written as well."""

    shown_as: str  # a name of reporters.open.OPENERS, or "auto"
    events: Path | None = None
    log_dir: Path | None = None


@dataclasses.dataclass
class Ending:
    """How the process will end."""

    code: int = InternalError.exit_code


def run(flags: Flags, outputs: Outputs) -> int:
    """Run an Application's tests; nothing is touched before the configuration is checked."""
    with errors_shown() as ending:
        problems = Problems()
        check_outputs(outputs.events, outputs.log_dir, problems)
        given = os.environ, Path.cwd(), stored(os.environ)
        config = load(flags, *given, redactor().mask, wrong_properties, problems)
        # Only now: a mistake in the configuration does not wait for the import of httpx and confluent_kafka.
        from argorun.run.supervisor import execute

        with reported(outputs, config.secrets, ending) as dispatcher, event_loop.opened() as loop:
            running = execute(config, dispatcher, saves_logs=outputs.log_dir is not None)
            ending.code = loop.run_until_complete(running)
    return ending.code


def sweep(flags: SweepFlags, outputs: Outputs) -> int:
    """Delete and put back what killed runs have left."""
    with errors_shown() as ending:
        config = load_sweep(
            flags, os.environ, Path.cwd(), stored(os.environ), redactor().mask, wrong_properties
        )
        if outputs.shown_as == "auto":
            outputs = dataclasses.replace(outputs, shown_as="plain")
        from argorun.sweep.steps import execute

        with reported(outputs, config.secrets, ending) as dispatcher, event_loop.opened() as loop:
            ending.code = loop.run_until_complete(execute(config, dispatcher))
    return ending.code


def doctor(flags: Flags, *, as_json: bool) -> int:
    """Check everything that a run needs, also where the configuration is not complete; nothing is changed."""
    with errors_shown() as ending:
        given = os.environ, Path.cwd(), stored(os.environ)
        parts = load_parts(flags, *given, redactor().mask, wrong_properties)
        streams = StandardStreams(usable(sys.stdout), usable(sys.stderr), os.environ)
        redact = redactor().text
        checklist: Checklist
        if as_json:
            checklist = Document(streams.stdout, redact, __version__)
        else:
            of = f": {parts.application}" if parts.application else ""
            checklist = Drawn(streams, redact, f"argorun {__version__}, doctor{of}")
        from argorun.doctor.examination import execute

        with event_loop.opened() as loop:
            ending.code = loop.run_until_complete(execute(parts, flags, checklist, redactor().mask))
    return ending.code


def init(flags: InitFlags, questions: Questions) -> int:
    """Ask Argo CD and a person what argorun.yaml has to say, and write it; nothing else is changed."""
    with errors_shown() as ending:
        folder, shown = Path.cwd(), str(flags.file or DEFAULT_FILE)
        problems = Problems()
        path = target(flags.file, folder, problems, force=flags.force)
        from argorun.init.execute import canceling, execute

        given = Given(
            flags=flags,
            environment=os.environ,
            folder=folder,
            cli=stored(os.environ),
            mask=redactor().mask,
            check_properties=wrong_properties,
        )
        asked = execute(given, path, questions, problems)
        signals.handle_with(signals.ignore)  # a file is written whole
        write(path, asked.text, force=flags.force)
        canceled = f"argorun: canceled; {shown} is written, and not checked"
        signals.handle_with(canceling(canceled))
        questions.say("", f"wrote {shown}")
        ending.code = 0
        try:
            may_check = questions.can_ask and not asked.unset
            checked = may_check and questions.confirm("Check it now (argorun run --dry-run)?")
        except KeyboardInterrupt:
            questions.say("", canceled)
            raise
        if checked:
            ending.code = run(Flags(file=flags.file, dry_run=True), Outputs("auto"))
        else:
            questions.say(*asked.next_steps(shown))
    return ending.code


def wrong_properties(properties: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    """What librdkafka does not accept. Imported where there are properties: that takes its time."""
    from argorun.kafka.admin import wrong_properties as found

    return found(properties)


@contextlib.contextmanager
def errors_shown() -> Iterator[Ending]:
    """Show whatever is raised in the block as one error on stderr, and end with its exit code."""
    ending = Ending()
    with masked_stderr():
        try:
            yield ending
        except ArgorunError as e:
            ending.code = e.exit_code
            show(e)
        except KeyboardInterrupt:
            ending.code = 130
        except Exception as e:
            error = unhandled(e)
            ending.code = error.exit_code
            show(error)


def show(error: ArgorunError) -> None:
    """One clear error: what happened, where, and what to do."""
    print(error.shown, file=sys.stderr)


def show_failures(dispatcher: Dispatcher) -> None:
    """Say of each reporter that has failed that not all is there, and why."""
    for failure in dispatcher.failures:
        print(f"argorun: not everything could be shown or written: {failure}", file=sys.stderr)


@contextlib.contextmanager
def reported(outputs: Outputs, secrets: Collection[str], ending: Ending) -> Iterator[Dispatcher]:
    """Show and write the events of the block; where that fails, exit code 0 becomes 10."""
    reporters = open_reporters(outputs.shown_as, outputs.events)
    logs = [LogFiles(outputs.log_dir)] if outputs.log_dir is not None else []
    dispatcher = Dispatcher(reporters, secrets, redactor=redactor(), untouched=logs)

    def exit_code() -> int:
        return ending.code or (CleanupIncomplete.exit_code if dispatcher.unwritten else 0)

    try:
        yield dispatcher
    except ArgorunError as e:
        ending.code = e.exit_code
        raise
    finally:
        signals.handle_with(signals.leave_with(exit_code))
        dispatcher.close(LAST_LINES if signals.received() else None)
    show_failures(dispatcher)
    signals.ignore_forever()
    ending.code = exit_code()
