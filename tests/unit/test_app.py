"""From the command line to a run's first step and back to the exit code."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from argorun import app
from argorun.errors import ArgoCDFailed, Interrupted, UsageError
from tests import checkout

CALLS = 7  # at most, from main() to the run's first step
CONFIG = """
application: weather
argocd: {server: "127.0.0.1:1", plaintext: true}
kafka: {bootstrap.servers: "127.0.0.1:1"}
topics: [{prefix: weather_updates, parameter: kafka.topic}]
"""
# Takes the place of the first step: prints the calls that led to it, and ends the process.
FIRST_STEP = """
import asyncio, inspect, json, os, sys
from pathlib import Path
import argorun
from argorun import __main__ as program

PACKAGE = Path(argorun.__file__).parent

def name(code):
    path = Path(code.co_filename)
    return f"{path.relative_to(PACKAGE).with_suffix('')}:{code.co_name}" if PACKAGE in path.parents else ""

def awaiting(coroutine):
    while coroutine is not None and hasattr(coroutine, "cr_code"):
        yield coroutine
        coroutine = coroutine.cr_await

def plan(run):
    frames = [frame.frame for frame in inspect.stack()[1:]][::-1]
    (border,) = [at for at, f in enumerate(frames) if f.f_code.co_name == "run_until_complete"]
    calls = [f.f_code for f in frames[:border]]
    task = asyncio.current_task()
    if task is not (whole := frames[border].f_locals["future"]):
        awaited = [c for c in awaiting(whole.get_coro()) if name(c.cr_code)]
        assert task in awaited[-1].cr_frame.f_locals.values(), "not its task: there is another one between"
        calls += [c.cr_code for c in awaited]
    calls += [f.f_code for f in frames[border:]]
    print(json.dumps([*filter(None, map(name, calls)), "the first step"]), flush=True)
    os._exit(0)

from argorun.run.steps import Run
Run.plan = plan
program.main()
"""


def test_from_main_to_the_first_step_of_a_run_it_is_at_most_seven_calls(tmp_path: Path) -> None:
    """Counted in a process of its own by a first step that looks at its callers.

    A call is one of a function of argorun by another, from `main` to the first step: on the stack, and for
    coroutines from the outermost, which the event loop runs, along what each of them awaits. The run's steps
    are a task: it counts as called by the coroutine that has it in a variable, which must be the last one of
    those that are awaited. What libraries do in between (typer, asyncio) does not count.
    """
    (tmp_path / "argorun.yaml").write_text(CONFIG)
    done = subprocess.run(
        [sys.executable, "-c", FIRST_STEP, "run", "--output", "plain"],
        cwd=tmp_path,
        env=checkout.environment(tmp_path) | {"ARGOCD_AUTH_TOKEN": "t0ken"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    functions = json.loads(done.stdout)
    assert (functions[0], functions[-2]) == ("__main__:main", "run/steps:steps")
    assert len(functions) - 1 <= CALLS, functions


# -- errors -------------------------------------------------------------------------


def raises(error: BaseException) -> Callable[[], int]:
    def go() -> int:
        raise error

    return go


def ended(go: Callable[[], int]) -> int:
    with app.errors_shown() as ending:
        ending.code = go()
    return ending.code


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("no Application to run", "name it"), 2, "argorun: no Application to run\n  name it\n"),
        (ArgoCDFailed("down"), 8, "argorun: down\n"),
        (Interrupted(15), 143, "argorun: interrupted by SIGTERM\n"),
        (KeyboardInterrupt(), 130, ""),
        (
            ZeroDivisionError("division by zero"),
            70,
            "argorun: an error inside argorun: ZeroDivisionError: division by zero\n"
            "  please report it, with this text and `argorun --version`:\n"
            "  https://github.com/argorun/argorun/issues\n"
            "  ARGORUN_TRACEBACK=1 shows where it happened\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            2,
            "argorun: stdout cannot be written: No space left on device\n",
        ),
    ],
)
def test_whatever_goes_wrong_is_said_in_one_error_with_its_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(raises(error)) == code
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("code", [0, 1, 10])
def test_the_runs_exit_code_is_argoruns(code: int) -> None:
    assert ended(lambda: code) == code
