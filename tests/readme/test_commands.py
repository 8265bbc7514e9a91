"""The commands that the documentation shows: each is run, or says why it is not and is valid."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
import yaml

from argorun.argocd.rest_client import RestClient
from argorun.argocd.sync import operation
from argorun.cli.main import commands as program
from argorun.config import load, model
from argorun.config.file import File
from argorun.config.model import ApplicationRef, ArgoCD
from argorun.sandbox.demo import DemoEnvironment, demo_environment
from tests import pages
from tests.pages import Block
from tests.readme import blocks, test_demo
from tests.readme.blocks import Commands
from tests.readme.helm_chart import HelmChart
from tests.readme.session import Session
from tests.threads import in_a_thread

LIMIT = 240.0  # seconds to start the servers, and to stop them
CONFIG = pages.ROOT / "config"
COMMANDS = sorted(typer.main.get_command(program).commands)
OTHERS = {"--help", *(o for p in typer.main.get_command(program).params for o in p.opts)}  # of argorun itself
WORKFLOW = {
    "name": "part",
    "on": "push",
    "jobs": {"part": {"runs-on": "ubuntu-latest", "steps": [{"run": "true"}]}},
}
MINIMAL = {
    "application": "weather",
    "argocd": {"server": "argocd.example.com"},
    "kafka": {"bootstrap.servers": "kafka.example.com:9092"},
    "topics": [{"prefix": "weather_updates", "parameter": "kafka.topic"}],
}
SECRETS = ("ARGOCD_AUTH_TOKEN", "GATEWAY_KEY", "KAFKA_KEY_PASSWORD", "KAFKA_PASSWORD")


# -- what is run, and what is not ----------------------------------------------------------------------


def test_every_block_of_commands_is_run_or_says_why_it_is_not() -> None:
    """There is no third kind: `for_users` fails for another mark."""
    kinds = Counter(c.run for c in blocks.for_users())
    assert set(kinds) == {"here", "real", "nowhere"}
    assert kinds["here"] + kinds["real"] > kinds["nowhere"]


def test_every_code_block_is_of_a_language_that_is_checked() -> None:
    languages = ("sh", "yaml", "text", "properties", "json")
    found = [len(pages.FENCE.findall(pages.page(path))) for path in pages.paths()]
    fences = [len(re.findall("^ *```", pages.page(path), flags=re.MULTILINE)) for path in pages.paths()]
    assert sum(found) == sum(len(pages.blocks(language)) for language in languages)
    assert fences == [2 * n for n in found]


@pytest.mark.parametrize("block", pages.blocks("sh"), ids=lambda b: b.page)
def test_every_block_of_commands_is_valid_shell(block: Block) -> None:
    done = subprocess.run(["sh", "-n", "-c", block.text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# -- what argorun takes --------------------------------------------------------------------------------


def steps(value: Any) -> Iterator[dict[str, Any]]:
    """Every step of a workflow, or of a part of one."""
    if isinstance(value, dict):
        if "run" in value or "uses" in value:
            yield value
        value = list(value.values())
    for part in value if isinstance(value, list) else []:
        yield from steps(part)


def command_lines() -> list[list[str]]:
    """Every argorun command line of the documentation, without the program's name."""
    scripts = [b.text.replace("\\\n", " ") for b in pages.blocks("sh")]
    scripts += [s["run"] for b in pages.blocks("yaml") for s in steps(yaml.safe_load(b.text)) if "run" in s]
    lines = re.findall(r"^(?:exec |uvx .*' )?argorun (.*)$", "\n".join(scripts), flags=re.MULTILINE)
    split = [shlex.split(re.sub(r"\$\{\{.*?\}\}", "abc", line), comments=True) for line in lines]
    return [[word for word in line if not word.startswith(">")] for line in split]


@pytest.mark.parametrize("arguments", command_lines(), ids=" ".join)
def test_every_command_line_is_one_that_argorun_takes(arguments: list[str]) -> None:
    if arguments[0] in OTHERS:
        return
    context = (
        typer.main.get_command(program).commands[arguments[0]].make_context(arguments[0], list(arguments[1:]))
    )
    assert context.args == []


def test_every_command_is_shown_in_a_command_line() -> None:
    assert sorted({arguments[0] for arguments in command_lines()} - OTHERS) == COMMANDS


def test_every_make_target_exists() -> None:
    makefile = (pages.ROOT / "Makefile").read_text(encoding="utf-8")
    texts = [b.text for b in pages.blocks("sh")]
    targets = {t for text in texts for t in re.findall(r"^make ([a-z-]+)", text, flags=re.MULTILINE)}
    phrases = [phrase for path in pages.paths() for phrase in pages.phrases(path)]
    targets |= {t for phrase in phrases for t in re.findall("make ([a-z-]+)", phrase)}
    assert {"demo", "docs", "test", "test-all", "check", "test-real", "chaos", "bench"} <= targets
    assert [t for t in targets if not re.search(rf"^{t}:", makefile, flags=re.MULTILINE)] == []


# -- YAML ----------------------------------------------------------------------------------------------


def as_workflow(parsed: Any) -> dict[str, Any] | None:
    """A whole workflow around a block; None where the block is nothing of GitHub's."""
    if isinstance(parsed, list) and all("run" in step or "uses" in step for step in parsed):
        return {**WORKFLOW, "jobs": {"part": {"runs-on": "ubuntu-latest", "steps": parsed}}}
    if not isinstance(parsed, dict) or not {True, "jobs"} & set(parsed):
        return None
    named = {
        ("on" if key is True else key): value for key, value in parsed.items()
    }  # YAML reads `on` as true
    return WORKFLOW | named


@pytest.mark.parametrize(
    "block", [b for b in pages.blocks("yaml") if as_workflow(yaml.safe_load(b.text))], ids=lambda b: b.page
)
def test_every_workflow_is_one_that_github_takes(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "workflow.yml"
    file.write_text(yaml.safe_dump(as_workflow(yaml.safe_load(block.text))))
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", file]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_pin_their_actions_ask_for_little_and_let_argorun_clean_up() -> None:
    parsed = [yaml.safe_load(b.text) for b in pages.blocks("yaml")]
    used = {step["uses"] for block in parsed for step in steps(block) if "uses" in step}
    assert used
    assert [u for u in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", u)] == []
    (whole,) = [block for block in parsed if isinstance(block, dict) and "jobs" in block]
    assert whole["permissions"] == {"contents": "read"}
    (run,) = [step["run"] for step in steps(whole) if "argorun run" in step.get("run", "")]
    assert run.startswith("exec argorun ")


def settings_blocks() -> list[Block]:
    """Every argorun.yaml, or part of one; the reference pages are made from the code and checked with it."""
    keys = set(File.__struct_fields__)
    found = [b for b in pages.blocks("yaml") if not b.page.startswith("docs/reference/") and not b.mark]
    return [b for b in found if isinstance(p := yaml.safe_load(b.text), dict) and set(p) <= keys]


def test_every_block_of_yaml_is_of_a_kind_that_is_checked() -> None:
    """A workflow, settings, a manifest, what an owner needs (test_words.py), or its mark says what it is."""
    others = []
    for block in pages.blocks("yaml"):
        parsed = yaml.safe_load(block.text)
        known = block in settings_blocks() or as_workflow(parsed) or block.page.startswith("docs/reference/")
        if not known and not {"apiVersion", "spec"} & set(parsed or {}):
            others.append((block.page, block.mark))
    assert [page for page, mark in others if not re.fullmatch(r"a part of \S.*", mark)] == []


@pytest.mark.parametrize("block", settings_blocks(), ids=lambda b: b.page)
def test_every_part_of_argorun_yaml_is_taken(block: Block, tmp_path: Path) -> None:
    for name in re.findall(r": ([\w-]+\.(?:pem|key))$", block.text, flags=re.MULTILINE):
        (tmp_path / name).touch()
    file = tmp_path / "argorun.yaml"
    file.write_text(yaml.safe_dump(MINIMAL | yaml.safe_load(block.text)))
    loaded = load.load(model.Flags(file=file), dict.fromkeys(SECRETS, "value"), tmp_path)
    assert loaded.application.name == "weather"


# -- running them --------------------------------------------------------------------------------------


class Servers(NamedTuple):
    """The demo's Kafka and stand-in, with the Applications of both argorun.yaml in config/."""

    demo: DemoEnvironment

    def session(self, folder: Path) -> Session:
        """Somebody who has set up both servers and the example's Application."""
        remote, repository = folder / "weather.git", folder / "argorun"
        repository.symlink_to(pages.ROOT)
        subprocess.run(["git", "init", "--quiet", "--bare", remote], check=True)
        environment = {
            "ARGOCD_SERVER": f"http://{self.demo.server}",
            "ARGOCD_AUTH_TOKEN": self.demo.token,
            "KAFKA_BOOTSTRAP_SERVERS": self.demo.bootstrap_servers,
        }
        stands_for = {
            "https://github.com/argorun/argorun": repository.as_uri(),
            "https://github.com/YOU/weather.git": remote.as_uri(),
            "argocd.example.com": environment["ARGOCD_SERVER"],
            "kafka.example.com:9092": environment["KAFKA_BOOTSTRAP_SERVERS"],
            "…": environment["ARGOCD_AUTH_TOKEN"],
        }
        return Session(folder, environment, stands_for)


@contextlib.asynccontextmanager
async def servers_up() -> AsyncIterator[Servers]:
    async with demo_environment() as demo:
        parameters = [{"name": "kafka.bootstrapServers", "value": demo.bootstrap_servers}]
        source = {"repoURL": CONFIG.as_uri(), "path": "helm", "targetRevision": "HEAD"}
        source["helm"] = {"parameters": parameters}  # type: ignore[assignment]
        demo.standin.add("weather", HelmChart(CONFIG / "helm"), source, namespace="weather")
        async with RestClient(ArgoCD(server=demo.server, token=demo.token, plaintext=True)) as client:
            app = ApplicationRef(name="weather")
            await client.sync(app, operation.body("deploy") | {"strategy": {"apply": {}}})
            state = await operation.follow(client, app, "deploy", lambda _: None)
            assert state.phase == "Succeeded", state
        yield Servers(demo)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with in_a_thread(servers_up(), "servers", LIMIT) as (up, _):
        yield up


def run_here(page: str) -> list[Commands]:
    """The blocks of a page that are run here; test_demo.py runs the demo, on servers of its own."""
    return [
        c
        for c in blocks.for_users()
        if c.block.page == page and c.run == "here" and c.block.text.strip() not in test_demo.COMMANDS
    ]


@pytest.mark.parametrize("page", [p for p in blocks.USERS_PAGES if run_here(p)])
def test_the_commands_of_a_page_do_what_it_says(page: str, servers: Servers, tmp_path: Path) -> None:
    session = servers.session(tmp_path)
    commands = run_here(page)
    if not any("argorun init" in c.block.text for c in commands):  # else the page makes it
        text = (CONFIG / "argorun.yaml").read_text(encoding="utf-8")
        (session.folder / "argorun.yaml").write_text(text, encoding="utf-8")
    for block, _, code in commands:
        ended, written = session.run(block.text)
        assert ended == code, f"{block.text}\n{written}"
