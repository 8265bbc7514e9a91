"""What README and docs/ say is so: options, settings, messages, exit codes, figures."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main
import yaml

from argorun import recovery
from argorun.argocd import owners
from argorun.cli.main import commands as program
from argorun.config import load, model
from argorun.config.file import ArgoCDFile, TestsFile, TimeoutsFile
from argorun.errors import EXIT_CODES
from argorun.redact.redactor import SHORTEST, Redactor
from argorun.redact.secrets import is_parameter, of_properties
from tests import pages

SOURCE = "\n".join(p.read_text(encoding="utf-8") for p in sorted((pages.ROOT / "argorun").rglob("*.py")))
ENVIRONMENT = {"ARGOCD_AUTH_TOKEN": "t", "KAFKA_PASSWORD": "p", "GATEWAY_KEY": "k"}


# What Argo CD says, passed on as it is.
OTHERS_WORDS = {"permission denied (HTTP 403)"}


def settings(page: str = "docs/how-to/configure.md") -> str:
    """The page's first argorun.yaml."""
    return next(b.text for b in pages.blocks("yaml") if b.page == page)


def texts() -> Iterator[str]:
    """Every text in argorun's code; what is put into it is an ellipsis."""
    for path in sorted((pages.ROOT / "argorun").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def command(name: str) -> Any:
    """A command of argorun, as click has it."""
    return typer.main.get_command(program).commands[name]


COMMANDS = sorted(typer.main.get_command(program).commands)


def test_the_settings_are_taken_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "argorun.yaml"
    file.write_text(settings())
    loaded = load.load(model.Flags(file=file), ENVIRONMENT, tmp_path)
    (topic,) = loaded.topics
    assert topic.sources["prefix"].endswith("argorun.yaml:15")
    assert msgspec.structs.replace(topic, sources={}) == model.Topic(
        prefix="weather_updates",
        parameters=(model.Parameter(helm="kafka.topic"),),
        partitions=1,
        config={"retention.ms": "3600000"},
        groups="weather-tests-",
    )
    assert (loaded.jobs, loaded.timeouts.busy) == (("run-automation-tests-job",), 600.0)
    assert loaded.argocd.headers == {"X-Gateway-Key": "k"}
    assert loaded.kafka["sasl.password"] == "p"


NOT_YET = {"--junit", "--output github"}  # the documentation says so
USERS_PAGES = [p for p in pages.paths() if not p.endswith("-facts.md") and p != "ARCHITECTURE.md"]


@pytest.mark.parametrize("path", USERS_PAGES)
def test_every_command_and_option_in_a_sentence_exists(path: str) -> None:
    programs_own = {o for p in typer.main.get_command(program).params for o in p.opts}
    everywhere = {o for name in COMMANDS for p in command(name).params for o in p.opts} | programs_own
    everywhere |= {"--help"}
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
    table = pages.section("docs/how-to/configure.md", "Environment variables")
    rows = re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE)
    named = {variable for row in rows for variable in re.findall("`([A-Z_]+)`", row)}
    assert len(named) == 7
    assert {v for v in named if f'"{v}"' not in SOURCE} == set()


def test_each_message_that_is_explained_is_one_that_argorun_writes() -> None:
    rows = re.findall(r"^\|.*\|$", pages.page("docs/troubleshooting.md"), flags=re.MULTILINE)
    rows = [row for row in rows if row not in ("| message | what to do |", "|---|---|")]
    messages = [m[1] for row in rows for m in [re.match(r"\| `([^`]+)` \| .+\|", row)] if m]
    assert len(messages) == len(rows) > 60
    known = list(texts())
    pieces = {m: [p.strip() for p in m.split("…") if p.strip()] for m in messages}
    strange = {m for m in messages if not any(all(p in text for p in pieces[m]) for text in known)}
    assert strange == OTHERS_WORDS


def test_the_table_of_exit_codes_is_the_one_of_the_errors() -> None:
    table = pages.page("README.md").split("| exit | meaning |\n|---|---|\n")[1].split("\n\n")[0]
    assert table.splitlines() == [
        f"| {', '.join(map(str, row.codes))} | {row.meaning} |" for row in EXIT_CODES
    ]


def cells(table: str) -> dict[str, list[str]]:
    """The rows of a table, by their first cell."""
    rows = [[c.strip() for c in row.strip("|").split("|")] for row in table.splitlines() if row[:1] == "|"]
    return {first: others for first, *others in rows}


def test_the_figures_of_the_readme_are_those_that_were_measured() -> None:
    measured = cells(pages.page("bench/README.md"))

    def figures(row: str) -> list[str]:
        """argorun's and the script's, without the range."""
        return [cell.partition(" (")[0] for cell in measured[row][2:]]

    first, later = figures("First run, without settling"), figures("Later run, without settling")
    (line,) = {figures("Delay of the first log line")[0]}
    shown = cells(pages.section("README.md", "Half the time"))
    assert {row: shown[row] for row in ("First run", "Later run")} == {"First run": first, "Later run": later}
    assert shown["The first line of the test's log comes"] == [
        f"after {line}",
        figures("Delay of the first log line")[1],
    ]
    assert measured["Ctrl-C during the test: seconds to the end, and what is left"][2].endswith(
        "nothing left"
    )
    left = measured["Ctrl-C during the test: seconds to the end, and what is left"][3].split(", ", 1)[1]
    assert shown["Ctrl-C during the test leaves"] == ["nothing", left.removesuffix(" left")]
    ratios = [
        float(figures_of[0].split()[0]) / float(figures_of[1].split()[0]) for figures_of in (first, later)
    ]
    assert [r for r in ratios if not 0.4 < r < 0.6] == [], "about half the time"


def test_what_is_to_be_put_into_an_owner_is_what_argorun_prints() -> None:
    parameters, _, record, enabled = owners.touched()
    printed = {
        owners.application_set_snippet("weather", [parameters, record, enabled]),
        owners.parent_snippet("weather", [parameters]),
    }
    shown = [b for b in pages.blocks("yaml") if b.text.startswith("spec:")]
    assert {b.page for b in shown} == {"docs/how-to/owned-applications.md"}
    assert {b.text.rstrip("\n") for b in shown} == printed


def test_a_failure_that_is_shown_is_in_argoruns_words() -> None:
    """An ellipsis stands for what is the example's own."""
    (block,) = [b for b in pages.blocks("text") if b.page == "docs/how-to/red-run.md"]
    assert re.match(r"==> FAILED after \w+, exit code 1: run-automation-tests-job cannot start: ", block.text)
    assert re.findall(r"^  ! (\w+): ", block.text, flags=re.MULTILINE) == ["why", "next", "link"]
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


def test_a_checklist_that_is_shown_is_in_doctors_words() -> None:
    (block,) = [b for b in pages.blocks("text") if b.page == "docs/how-to/doctor.md"]
    rows = re.findall(r"^([✓!✗-]) (.{15}) (.+)$", block.text, flags=re.MULTILINE)
    known = set(texts())
    assert len(rows) > 8
    assert [name.strip() for _, name, _ in rows if name.strip() not in known] == []
    signs = {sign for sign, *_ in re.findall(r"^\| `(.)` \|", pages.page(block.page), flags=re.MULTILINE)}
    assert signs == {"✓", "!", "✗", "-"} >= {sign for sign, _, _ in rows}


def test_the_settings_for_kafka_topics_are_those_of_the_login_that_is_shown() -> None:
    (block,) = pages.blocks("properties")
    shown = dict(line.split("=", 1) for line in block.text.splitlines())
    kafka = yaml.safe_load(settings("docs/how-to/sasl.md"))["kafka"]
    login = shown.pop("sasl.jaas.config")
    assert shown == {key: kafka[key] for key in ("security.protocol", "sasl.mechanism")}
    assert re.fullmatch(r'org\.apache\.kafka\.\S+LoginModule required username="(.*)" password="…";', login)
    assert f'username="{kafka["sasl.username"]}"' in login
    assert recovery.CLIENT_PROPERTIES in pages.phrases(block.page)


SECRETS = pages.page("docs/explanation/secrets.md")


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
