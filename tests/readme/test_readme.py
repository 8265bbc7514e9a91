"""What README and docs/ say is so: commands, options, settings, exit codes and error messages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from argorun import errors, recovery
from argorun.argocd import owners
from argorun.cli.main import commands as program
from argorun.config import load, model
from argorun.config.file import ArgoCDFile, TestsFile, TimeoutsFile
from argorun.redact.redactor import SHORTEST, Redactor
from argorun.redact.secrets import is_parameter, of_properties
from tests import pages

SOURCE = "\n".join(p.read_text(encoding="utf-8") for p in sorted((pages.ROOT / "argorun").rglob("*.py")))
ENVIRONMENT = {"ARGOCD_AUTH_TOKEN": "t", "KAFKA_PASSWORD": "p", "GATEWAY_KEY": "k"}


def settings() -> str:
    (block,) = [b for b in pages.blocks("yaml") if b.text.startswith("application:")]
    assert block.page == "docs/configuration.md"
    return block.text


def steps(value: Any) -> Iterator[dict[str, Any]]:
    """Every step of a workflow, or of a part of one."""
    if isinstance(value, dict):
        if "run" in value or "uses" in value:
            yield value
        value = list(value.values())
    for part in value if isinstance(value, list) else []:
        yield from steps(part)


def commands() -> list[list[str]]:
    """Every argorun command line of the documentation, without the program's name."""
    scripts = [b.text for b in pages.blocks("sh")]
    scripts += [s["run"] for b in pages.blocks("yaml") for s in steps(yaml.safe_load(b.text)) if "run" in s]
    lines = re.findall(r"^(?:exec )?argorun (.*)$", "\n".join(scripts), flags=re.MULTILINE)
    return [shlex.split(line.replace("${{ github.sha }}", "abc"), comments=True) for line in lines]


def command(name: str) -> Any:
    """A command of argorun, as click has it."""
    return typer.main.get_command(program).commands[name]


COMMANDS = sorted(typer.main.get_command(program).commands)


def workflow() -> dict[Any, Any]:
    (block,) = [b for b in pages.blocks("yaml") if b.text.startswith("name:")]
    assert block.page == "README.md"
    parsed: dict[Any, Any] = yaml.safe_load(block.text)
    return parsed


def workflow_steps() -> list[dict[str, Any]]:
    return list(workflow()["jobs"]["tests"]["steps"])


def test_every_code_block_is_of_a_language_that_is_checked_here() -> None:
    languages = ("sh", "yaml", "text", "properties")
    found = [len(pages.FENCE.findall(pages.page(path))) for path in pages.paths()]
    marks = [len(re.findall("^ *```", pages.page(path), flags=re.MULTILINE)) for path in pages.paths()]
    assert sum(found) == sum(len(pages.blocks(language)) for language in languages)
    assert marks == [2 * n for n in found]


def test_the_settings_are_taken_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "argorun.yaml"
    file.write_text(settings())
    loaded = load.load(model.Flags(file=file), ENVIRONMENT, tmp_path)
    assert loaded.topics == (
        model.Topic(
            prefix="weather_updates",
            parameters=(model.Parameter(helm="kafka.topic"),),
            partitions=1,
            config={"retention.ms": "3600000"},
            groups="weather-tests-",
        ),
    )
    assert (loaded.jobs, loaded.timeouts.busy) == (("run-automation-tests-job",), 600.0)
    assert loaded.kafka["sasl.password"] == "p"


def test_every_setting_that_is_commented_out_exists(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    (tmp_path / "tls.crt").touch()
    (tmp_path / "tls.key").touch()
    file = tmp_path / "argorun.yaml"
    file.write_text(re.sub(r"^  # ", "  ", settings(), flags=re.MULTILINE))
    loaded = load.load(model.Flags(file=file), ENVIRONMENT, tmp_path).argocd
    assert (loaded.insecure, loaded.root_path, loaded.headers) == (True, "/argocd", {"X-Gateway-Key": "k"})


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_line_is_one_that_argorun_takes(arguments: list[str]) -> None:
    context = command(arguments[0]).make_context(arguments[0], list(arguments[1:]))
    assert context.args == []


def test_every_command_is_shown_in_a_command_line() -> None:
    assert sorted({arguments[0] for arguments in commands()}) == COMMANDS


def choices(name: str, option: str) -> str:
    """The values that an option takes, as the documentation writes them; empty where it takes any."""
    try:
        command(name).make_context(name, [option, "nonsense"])
    except Exception as e:
        return "|".join(re.findall(r"\w+", str(e).partition("is not one of")[2]))
    return ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_has_its_row_and_its_values(name: str) -> None:
    table = pages.section("docs/configuration.md", f"argorun {name}")
    listed = {}
    for row in re.findall(r"^\| (`-.*?`) \| ", table, flags=re.MULTILINE):
        words = re.sub("[`,]", "", row).replace("\\|", "|").split()
        listed[frozenset(w for w in words if w.startswith("-"))] = words[-1]
    options = {frozenset(p.opts): p for p in command(name).params if p.param_type_name == "option"}
    assert set(listed) == set(options)
    assert {o for o, value in listed.items() if value in o} == {o for o, p in options.items() if p.is_flag}
    valued = {o: value for o, value in listed.items() if value not in o}
    assert {o: v if v.islower() else "" for o, v in valued.items()} == {
        o: choices(name, max(o)) for o in valued
    }


NOT_YET = {"--junit", "--output github", "argorun init"}  # the documentation says so
USERS_PAGES = [p for p in pages.paths() if not p.endswith("-facts.md") and p != "ARCHITECTURE.md"]


@pytest.mark.parametrize("path", USERS_PAGES)
def test_every_command_and_option_in_a_sentence_exists(path: str) -> None:
    everywhere = {o for name in COMMANDS for p in command(name).params for o in p.opts} | {
        "--version",
        "--help",
    }
    strange = []
    for phrase in set(pages.phrases(path)) - NOT_YET:
        words = phrase.split()
        if words[0] == "argorun" and len(words) > 1 and words[1] in COMMANDS:
            known = {o for p in command(words[1]).params for o in p.opts} | {"--help"}
        elif words[0] == "argorun" or phrase.startswith("--"):
            known = everywhere
            strange += [phrase] if words[0] == "argorun" and len(words) > 1 and words[1] not in known else []
        else:
            continue
        strange += [phrase for w in words if w.startswith("--") and w.split("=")[0] not in known]
    assert strange == []


@pytest.mark.parametrize("path", pages.paths())
def test_every_setting_in_a_sentence_exists(path: str) -> None:
    parts = {"timeouts": TimeoutsFile, "argocd": ArgoCDFile, "tests": TestsFile}
    phrases = [phrase for phrase in pages.phrases(path) if phrase != "argocd.token"]  # Argo CD's cookie
    named = [re.fullmatch(rf"({'|'.join(parts)})\.([a-z_]+)", phrase) for phrase in phrases]
    assert [m[0] for m in named if m and m[2] not in parts[m[1]].__struct_fields__] == []


def test_every_environment_variable_is_one_that_argorun_reads() -> None:
    table = pages.section("docs/configuration.md", "Environment variables")
    rows = re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE)
    named = {variable for row in rows for variable in re.findall("`([A-Z_]+)`", row)}
    assert len(named) == 7
    assert {v for v in named if f'"{v}"' not in SOURCE} == set()


def test_the_exit_codes_are_those_of_the_errors() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", pages.section("README.md", "Exit codes"), flags=re.MULTILINE)
    listed = {int(code) for row in rows for code in row.split(",")}
    classes = {c.exit_code for c in errors.ArgorunError.__subclasses__() if c is not errors.Interrupted}
    assert listed == {0, 129, 130, 143} | classes


MESSAGES = re.findall(
    r"^\| `([^`]+)` \|", pages.section("docs/troubleshooting.md", "Messages"), flags=re.MULTILINE
)


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_that_is_explained_is_one_that_argorun_gives(message: str) -> None:
    """By its parts: what stands between the values that argorun fills in. Two are the server's own words."""
    theirs = {
        "permission denied (HTTP 403)",
        "certificate verify failed",
    }
    filled = re.sub(r"(?<!\w)'[^']*'|…|topics\[0\]|Directory|applications|hook Job\b", "\0", message)
    parts = [p.strip() for p in filled.split("\0") if len(p.strip()) > 3]
    assert parts
    text = re.sub(r"\"\s*\n\s*f?\"", "", SOURCE)
    assert message in theirs or [p for p in parts if p not in text] == []


def test_what_is_to_be_put_into_an_owner_is_what_argorun_prints() -> None:
    parameters, _, record, enabled = owners.touched()
    printed = {
        owners.application_set_snippet("weather", [parameters, record, enabled]),
        owners.parent_snippet("weather", [parameters]),
    }
    shown = [b for b in pages.blocks("yaml") if b.text.startswith("spec:")]
    assert {b.page for b in shown} == {"docs/owned-applications.md"}
    assert {b.text.rstrip("\n") for b in shown} == printed


def test_a_failure_that_is_shown_is_in_argoruns_words() -> None:
    """An ellipsis stands for what is the example's own."""
    (block,) = pages.blocks("text")
    assert re.match(r"==> FAILED after \w+, exit code 1: run-automation-tests-job cannot start: ", block.text)
    assert re.findall(r"^  ! (\w+): ", block.text, flags=re.MULTILINE) == ["why", "seen", "hint", "look"]
    text = re.sub(r"\"\s*\n\s*f?\"", "", SOURCE)
    for words in (
        "cannot start",
        "there is no such image",
        "no pod of … could start within … s (timeouts.stuck); Argo CD would wait forever",
        "check the image's name and tag, its registry, and imagePullSecrets where that is private",
    ):
        pieces = [piece for piece in words.split("…") if piece]
        assert re.search(".*".join(map(re.escape, pieces)), block.text), words
        assert [piece for piece in pieces if piece not in text] == [], words


def test_the_settings_for_kafka_topics_are_those_of_argorun_yaml() -> None:
    (block,) = pages.blocks("properties")
    shown = dict(line.split("=", 1) for line in block.text.splitlines())
    kafka = yaml.safe_load(settings())["kafka"]
    login = shown.pop("sasl.jaas.config")
    assert shown == {key: kafka[key] for key in ("security.protocol", "sasl.mechanism")}
    assert re.fullmatch(r'org\.apache\.kafka\.\S+LoginModule required username="(.*)" password="…";', login)
    assert f'username="{kafka["sasl.username"]}"' in login
    assert recovery.CLIENT_PROPERTIES in pages.phrases(block.page)


def test_every_make_target_exists() -> None:
    makefile = (pages.ROOT / "Makefile").read_text(encoding="utf-8")
    shown = {b.page: set(re.findall(r"^make ([a-z-]+)", b.text, re.MULTILINE)) for b in pages.blocks("sh")}
    targets = {t for found in shown.values() for t in found}
    targets |= {
        t for path in pages.paths() for p in pages.phrases(path) for t in re.findall("make ([a-z-]+)", p)
    }
    assert {"demo", "test", "test-all", "check", "test-real", "chaos", "bench"} <= targets
    assert [t for t in targets if not re.search(rf"^{t}:", makefile, flags=re.MULTILINE)] == []


def test_the_workflow_pins_its_actions_and_asks_for_little() -> None:
    assert workflow()["permissions"] == {"contents": "read"}
    used = [step["uses"] for step in workflow_steps() if "uses" in step]
    assert used
    assert [u for u in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", u)] == []
    assert next(s["run"] for s in workflow_steps() if "argorun run" in s.get("run", "")).startswith(
        "exec argorun "
    )


SECRETS = pages.page("docs/secrets.md")


def test_what_the_page_calls_secret_is_taken_for_a_secret() -> None:
    named = {
        what: re.findall("`([^`]+)`", re.findall(rf"{what}[^(]*\(([^)]*)\)", SECRETS)[0])
        for what in ("Kafka properties", "Helm parameters")
    }
    assert named == {
        "Kafka properties": ["sasl.password", "ssl.key.pem", "sasl.oauthbearer.client.secret"],
        "Helm parameters": ["db.password", "auth.token", "api.secretKey"],
    }
    assert [n for n in named["Kafka properties"] if of_properties({n: "canary"}) != {"canary"}] == []
    assert [n for n in named["Helm parameters"] if not is_parameter(n)] == []


def test_the_page_says_how_short_a_secret_may_be() -> None:
    assert f"fewer than {SHORTEST} characters" in SECRETS
    assert Redactor(["x" * SHORTEST]).text("a" + "x" * SHORTEST) == "a***"
    assert Redactor(["x" * (SHORTEST - 1)]).text("a" + "x" * (SHORTEST - 1)) == "axxx"
