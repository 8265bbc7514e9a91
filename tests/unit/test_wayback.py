"""The commands that undo a run by hand do what they say when they are pasted, and nothing else."""

from __future__ import annotations

import json
import shlex
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from argorun.wayback import WayBack


def way_back(servers: str = "", patch: object = ()) -> Any:
    fake = cast(Any, SimpleNamespace)
    config = fake(application="ns/weather", kafka={"bootstrap.servers": servers})
    return WayBack(config, fake(), fake(), fake(), fake(), fake(claim=fake(way_back=lambda: patch)), print)


def assert_pastes(command: str, *words: str) -> None:
    """As a shell takes it; and nothing in it drives the terminal that it is pasted into."""
    assert shlex.split(command) == list(words)
    assert command.isprintable()
    quoted = shlex.shlex(command, posix=False, punctuation_chars=True)
    quoted.whitespace_split = True
    assert [word for word in quoted if word in (";", "&", "|", "&&", "||", "(", ")", "<", ">")] == []


@given(st.text(), st.text())
def test_what_was_there_is_put_back_whatever_it_holds(name: str, value: str) -> None:
    patch = [
        {"op": "replace", "path": "/spec/source/helm/parameters", "value": [{"name": name, "value": value}]}
    ]
    command = way_back(patch=patch)._give_back_by_hand()
    assert_pastes(
        command, "argocd", "app", "patch", "ns/weather", "--type", "json", "--patch", json.dumps(patch)
    )


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])).filter(str.isprintable))
def test_a_topic_is_deleted_at_the_broker_whatever_its_address_holds(servers: str) -> None:
    command = way_back(servers)._delete_by_hand("t_1")
    assert_pastes(
        command, "kafka-topics", "--bootstrap-server", servers, "--delete", "--if-exists", "--topic", "t_1"
    )
