"""The reference in docs/reference is that of the code, and each part of it says what it means."""

from __future__ import annotations

import re

import pytest

from argorun.reporters.event_schema import CHOICES, json_schema, meanings
from argorun.reporters.json_lines import KINDS
from tests import pages, reference
from tests.reference import command_line, markdown

FILES = reference.files()
PAGES = [name for name in FILES if name.endswith(".md")]


@pytest.mark.parametrize("name", FILES)
def test_a_page_of_the_reference_is_up_to_date(name: str) -> None:
    path = reference.FOLDER / name
    assert path.exists(), "run `make reference`"
    assert path.read_text(encoding="utf-8") == FILES[name], "run `make reference`, and commit what it writes"


def test_nothing_else_is_in_the_folder_of_the_reference() -> None:
    assert {path.name for path in reference.FOLDER.iterdir()} == set(FILES)


@pytest.mark.parametrize("name", PAGES)
def test_every_link_of_the_reference_leads_to_a_heading_or_a_file(name: str) -> None:
    path = f"docs/reference/{name}"
    for link in pages.links(path):
        to, _, anchor = link.target.partition("#")
        if to.startswith("https://"):
            continue
        target = f"docs/reference/{to}" if to else path
        assert (pages.ROOT / target).exists(), link
        assert not anchor or anchor in pages.anchors(target), link


@pytest.mark.parametrize("name", KINDS)
def test_every_field_of_an_event_has_a_meaning(name: str) -> None:
    part = json_schema()["$defs"][KINDS[name].__name__]
    fields = {n: f for n, f in part["properties"].items() if n != "event"}
    assert [n for n, f in fields.items() if not f.get("description")] == [], "write a comment behind it"


@pytest.mark.parametrize("choices", CHOICES)
def test_every_value_of_an_enumeration_has_a_meaning(choices: type) -> None:
    assert meanings(choices).keys() == set(choices.__members__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", command_line.all_commands())
def test_every_option_is_in_the_reference_of_its_command(name: str) -> None:
    section = pages.section("docs/reference/cli.md", f"argorun {name}")
    command = command_line.all_commands()[name]
    options = [o for p in command.params if p.param_type_name == "option" for o in p.opts]
    assert [o for o in options if not re.search(rf"`{re.escape(o)}[ `]", section)] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Use --set-string for it.", "Use `--set-string` for it."),
        ("$SHA and ${NAME}, ARGOCD_SERVER", "`$SHA` and `${NAME}`, `ARGOCD_SERVER`"),
        ("exactly PREFIX_<unix seconds>_<8 hex>.", "exactly `PREFIX_<unix seconds>_<8 hex>`."),
        ("NAMESPACE/NAME; Argo CD, HTTP", "`NAMESPACE/NAME`; Argo CD, HTTP"),
        ("in ./argorun.yaml or argorun.yaml.", "in `./argorun.yaml` or `argorun.yaml`."),
        ("DIR/JOB/POD.CONTAINER.log, whole", "`DIR/JOB/POD.CONTAINER.log`, whole"),
        ("already `--as code`, a-b--c", "already `--as code`, a-b--c"),
    ],
)
def test_names_in_a_help_text_are_code_on_a_page(text: str, shown: str) -> None:
    assert markdown.code(text) == shown
