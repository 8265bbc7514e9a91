"""`argorun init` as a process: in a terminal, without one, and in a shell's completion."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from argorun.config.load import load
from argorun.config.model import Flags
from tests import checkout
from tests.chaos.ground import Ground

LIMIT = 60.0  # seconds after which something that hangs is ended; no test depends on it
COMMAND = [*checkout.ARGORUN]
KAFKA = "kafka.example.com:9092"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The stand-in with one Application, chaos-1."""
    with Ground.start(tmp_path_factory.mktemp("ground"), with_kafka=False) as ground:
        ground.application()
        yield ground


def environment(ground: Ground, folder: Path, **more: str) -> dict[str, str]:
    known = {
        "ARGOCD_SERVER": f"http://{ground.standin.server}",
        "ARGOCD_AUTH_TOKEN": ground.standin.token,
        "COLUMNS": "100",
    }
    return checkout.environment(folder, **known | more)


def run(
    folder: Path, variables: Mapping[str, str], *arguments: str, command: Sequence[str] = COMMAND
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


class Terminal:
    """argorun at a terminal."""

    def __init__(self, folder: Path, variables: Mapping[str, str], *arguments: str) -> None:
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(COMMAND[0], [*COMMAND, *arguments], dict(variables))
        self.shown = ""

    def until(self, text: str) -> None:
        """Read on until this is shown."""
        deadline = time.monotonic() + LIMIT
        while text not in self.shown:
            assert time.monotonic() < deadline, f"never: {text}\n{self.shown}"
            self._read()

    def types(self, text: str) -> None:
        os.write(self.file, text.encode())

    def answers(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Type each answer once its question is shown."""
        for question, answer in pairs:
            self.until(question)
            self.shown = self.shown.partition(question)[2]
            self.types(f"{answer}\n")

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bool:
        if not select.select([self.file], [], [], LIMIT)[0]:
            os.kill(self.pid, signal.SIGKILL)
            raise AssertionError(f"hangs\n{self.shown}")
        try:
            read = os.read(self.file, 65536)
        except OSError:  # the other end is closed
            return False
        self.shown += read.decode(errors="replace").replace("\r\n", "\n")
        return bool(read)


QUESTIONS = [
    ("Application [1]: ", ""),
    ("Parameter [1]: ", ""),
    ("[stable]: ", "weather"),
    ("Tests [1]: ", ""),
]


# -- in a terminal --------------------------------------------------------------------------------------


def test_the_questions_are_answered_and_the_file_is_checked(ground: Ground, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, environment(ground, tmp_path), "init")
    terminal.answers([*QUESTIONS, ("Bootstrap servers: ", KAFKA), ("(argorun run --dry-run)? [Y/n]: ", "n")])
    assert terminal.end() == 0, terminal.shown
    assert terminal.shown.endswith("next: argorun run --dry-run   checks everything, touches nothing\n")
    config = load(Flags(file=tmp_path / "argorun.yaml"), {"ARGOCD_AUTH_TOKEN": "t"}, tmp_path)
    (topic,) = config.topics
    assert (str(config.application), config.argocd.url) == ("chaos-1", f"http://{ground.standin.server}")
    assert (config.kafka, config.jobs) == ({"bootstrap.servers": KAFKA}, ("checks",))
    assert (topic.prefix, [str(p) for p in topic.parameters]) == ("weather", ["helm: kafka.topic"])


@pytest.mark.parametrize("at", range(len(QUESTIONS) + 1))
@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_ctrl_c_and_ctrl_d_at_any_question_are_130_and_write_nothing(
    ground: Ground, tmp_path: Path, key: str, at: int
) -> None:
    terminal = Terminal(tmp_path, environment(ground, tmp_path), "init")
    terminal.answers(QUESTIONS[:at])
    terminal.until([*QUESTIONS, ("Bootstrap servers: ", "")][at][0])
    terminal.types(key)
    assert terminal.end() == 130, terminal.shown
    assert terminal.shown.endswith("\nargorun: canceled, and nothing was written\n")
    assert "Traceback" not in terminal.shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_ctrl_c_and_ctrl_d_after_the_file_is_written_say_so(ground: Ground, tmp_path: Path, key: str) -> None:
    terminal = Terminal(tmp_path, environment(ground, tmp_path), "init")
    terminal.answers([*QUESTIONS, ("Bootstrap servers: ", KAFKA)])
    terminal.until("(argorun run --dry-run)? [Y/n]: ")
    terminal.types(key)
    assert terminal.end() == 130, terminal.shown
    assert terminal.shown.endswith("\nargorun: canceled; argorun.yaml is written, and not checked\n")
    assert [p.name for p in tmp_path.iterdir()] == ["argorun.yaml"]


def test_a_terminal_in_ci_is_asked_nothing(ground: Ground, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, environment(ground, tmp_path, CI="true"), "init")
    assert terminal.end() == 2
    assert "this is missing, and there is no terminal to ask at" in terminal.shown


def test_yes_asks_nothing(ground: Ground, tmp_path: Path) -> None:
    terminal = Terminal(
        tmp_path, environment(ground, tmp_path, KAFKA_BOOTSTRAP_SERVERS=KAFKA), "init", "--yes"
    )
    assert (terminal.end(), [p.name for p in tmp_path.iterdir()]) == (0, ["argorun.yaml"])


# -- without one ----------------------------------------------------------------------------------------


def test_without_a_terminal_it_takes_what_is_unambiguous(ground: Ground, tmp_path: Path) -> None:
    variables = environment(ground, tmp_path, KAFKA_BOOTSTRAP_SERVERS=KAFKA)
    result = run(tmp_path, variables, "init", "-f", "weather.yaml")
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert result.stderr.endswith(
        "wrote weather.yaml\n"
        "next: argorun run --dry-run -f weather.yaml   checks everything, touches nothing\n"
    )
    assert ground.standin.token not in (tmp_path / "weather.yaml").read_text() + result.stderr
    again = run(tmp_path, variables, "init", "-f", "weather.yaml")
    assert (again.returncode, again.stderr) == (
        2,
        "argorun: weather.yaml exists already, and nothing was changed\n"
        "  give another name with -f, or --force to overwrite it\n",
    )
    assert run(tmp_path, variables, "init", "-f", "weather.yaml", "--force").returncode == 0


def test_without_a_terminal_what_is_missing_is_told_and_nothing_is_written(
    ground: Ground, tmp_path: Path
) -> None:
    result = run(tmp_path, environment(ground, tmp_path), "init")
    assert result.returncode == 2
    assert result.stderr.endswith(
        "argorun: no argorun.yaml was written: this is missing, and there is no terminal to ask at\n"
        "  Kafka: --bootstrap-servers, or KAFKA_BOOTSTRAP_SERVERS\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_variables_that_the_file_needs_are_named(ground: Ground, tmp_path: Path) -> None:
    variables = environment(ground, tmp_path, KAFKA_BOOTSTRAP_SERVERS=KAFKA)
    properties = ("security.protocol=SASL_SSL", "sasl.mechanism=PLAIN", "sasl.username=me")
    kafka = [f"--kafka={p}" for p in (*properties, "sasl.password=${KAFKA_PASSWORD}")]
    result = run(tmp_path, variables, "init", *kafka)
    assert result.returncode == 0, result.stderr
    assert "set in the environment first: KAFKA_PASSWORD\n" in result.stderr


def test_a_wrong_property_is_told_as_in_a_file(ground: Ground, tmp_path: Path) -> None:
    result = run(tmp_path, environment(ground, tmp_path), "init", "--kafka", "sasl.mechanisn=PLAIN")
    assert (result.returncode, result.stdout) == (2, "")
    assert "--kafka: " in result.stderr
    assert "sasl.mechanism" in result.stderr


# -- completion -----------------------------------------------------------------------------------------


def completed(folder: Path, variables: Mapping[str, str], line: str) -> list[str]:
    """What bash is told to offer for the last word of a line."""
    words = line.split(" ")
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_ARGORUN_COMPLETE": "complete_bash"}
    result = run(folder, {**variables, **asked})
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.split()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in (
        "conf/deep/b.yaml",
        "conf/a.yml",
        "only/sub/c.yaml",
        "logs/old/x",
        "argorun.yaml",
        "notes.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    text = "{topics: [{prefix: weather, parameter: a}], tests: {jobs: [checks, more]}, kafka: {a: '${NO}'}}"
    (tmp_path / "argorun.yaml").write_text(text)
    (tmp_path / "conf" / "a.yml").write_text("{tests: {jobs: [other]}, argocd: {server: 'localhost:1'}}")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("argorun ini", ["init"]),
        ("argorun run ", ["chaos-1"]),
        ("argorun run chaos-", ["chaos-1"]),
        ("argorun init c", ["chaos-1"]),
        ("argorun doctor c", ["chaos-1"]),
        ("argorun run x", []),
        ("argorun run --server localhost:1 c", []),
        ("argorun run -f ", ["argorun.yaml", "conf/", "logs/", "only/"]),
        ("argorun run -f c", ["conf/a.yml", "conf/deep/"]),
        ("argorun run -f only", ["only/sub/c.yaml"]),
        ("argorun run -f logs", []),
        ("argorun sweep --file a", ["argorun.yaml"]),
        ("argorun run --events n", ["notes.txt"]),
        ("argorun run --log-dir lo", ["logs/", "logs/old/"]),
        ("argorun run --ca no/such/", []),
        ("argorun run --job ", ["checks", "more"]),
        ("argorun run -f conf/a.yml --job ", ["other"]),
        ("argorun run -f no.yaml --job ", []),
        ("argorun sweep --topic w", ["weather"]),
        ("argorun run --output p", ["plain"]),
        ("argorun run --logs ", ["tests", "hooks", "all"]),
        ("argorun run --keep", ["--keep-topics"]),
    ],
)
def test_a_shell_is_offered_what_can_be_typed(
    ground: Ground, files: Path, line: str, offered: list[str]
) -> None:
    assert completed(files, environment(ground, files), line) == offered


@pytest.mark.parametrize(
    "variables",
    [
        {"ARGOCD_AUTH_TOKEN": "wrong"},
        {"ARGOCD_AUTH_TOKEN": ""},
        {"ARGOCD_SERVER": ""},
        {"ARGOCD_SERVER": "localhost:1"},
        {"ARGOCD_SERVER": "not a server"},
    ],
)
def test_no_error_reaches_the_shell(ground: Ground, tmp_path: Path, variables: dict[str, str]) -> None:
    assert completed(tmp_path, environment(ground, tmp_path, **variables), "argorun run ") == []


def test_nothing_of_it_is_kept_on_this_machine(ground: Ground, tmp_path: Path) -> None:
    assert completed(tmp_path, environment(ground, tmp_path), "argorun run ") == ["chaos-1"]
    assert list(tmp_path.iterdir()) == []


def test_an_argo_cd_that_does_not_answer_costs_two_seconds(ground: Ground, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        variables = environment(ground, tmp_path, ARGOCD_SERVER=f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert completed(tmp_path, variables, "argorun run ") == []


def test_bash_completes_a_line_by_the_script_that_argorun_writes(ground: Ground, files: Path) -> None:
    program = files / "bin" / "argorun"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m argorun "$@"\n')
    program.chmod(0o755)
    variables = environment(ground, files, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    variables["PATH"] = f"{program.parent}:{variables['PATH']}"
    script = """
        eval "$(argorun --show-completion bash)"
        complete -p argorun
        try() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
            _argorun_completion argorun
            echo "$*: ${COMPREPLY[*]}"
        }
        try argorun run chao
        try argorun run -f conf/
        try argorun run --job m
        try argorun run nothing
    """
    result = run(files, variables, command=["bash", "--norc", "-c", script])
    assert (result.stdout.splitlines(), result.stderr) == (
        [
            "complete -o default -F _argorun_completion argorun",
            "argorun run chao: chaos-1",
            "argorun run -f conf/: conf/a.yml conf/deep/",
            "argorun run --job m: more",
            "argorun run nothing: ",
        ],
        "",
    )


@pytest.mark.parametrize(
    ("shell", "more", "answer"),
    [
        ("zsh", {}, """_arguments '*: :(("chaos-1"))'\n"""),
        ("fish", {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}, "chaos-1\n"),
    ],
)
def test_zsh_and_fish_are_answered_in_their_ways(
    ground: Ground, tmp_path: Path, shell: str, more: dict[str, str], answer: str
) -> None:
    asked = {"_TYPER_COMPLETE_ARGS": "argorun run c", "_ARGORUN_COMPLETE": f"complete_{shell}"}
    result = run(tmp_path, {**environment(ground, tmp_path), **asked, **more})
    assert (result.returncode, result.stdout, result.stderr) == (0, answer, "")


def test_help_does_not_load_what_completes() -> None:
    code = (
        "import re, sys; from argorun.cli import main\n"
        "print([m for m in sys.modules if re.search('argorun.(cli.complete|init)|httpx|yaml|msgspec', m)])"
    )
    result = run(checkout.ROOT, {}, command=[sys.executable, "-c", code])
    assert re.sub(r"'argorun\.cli\.init'(, )?", "", result.stdout) == "[]\n"
