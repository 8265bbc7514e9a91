"""From Argo CD's error message back to the parameters that Helm got."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.parameters.helm_command import parameters, plain
from argorun.sandbox.standin.helm import command, escaped
from tests.unit.argocd.fakes import Json

FAILED = "Manifest generation error: failed running helm: `{}` failed exit status 1: Error: no such thing"
# As the real server answered (v3.6.1), shortened.
SAID = (
    "application spec for bug01 is invalid: InvalidSpecError: Unable to generate manifests in chart: "
    "rpc error: code = Unknown desc = Manifest generation error: failed to execute helm template command: "
    "failed running helm: `helm template . --name-template argorun asks --namespace bug01 --kube-version "
    "1.37.2 --set-string image.tag=3.12 <api versions removed> --include-crds` failed exit status 1: Error: "
    'release name "argorun asks": invalid release name'
)

names = st.from_regex(r"[a-z][a-zA-Z0-9_.\[\]-]{0,12}", fullmatch=True)
values = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).filter(
    lambda v: " --" not in v and "` failed " not in v and " <api" not in v
)
listed = st.lists(
    st.builds(lambda n, v, f: {"name": n, "value": v, "forceString": f}, names, values, st.booleans())
)


@given(listed)
def test_whatever_helm_is_given_is_read_back(given_to_it: list[Json]) -> None:
    """Of two with one name the last wins, but a forced string wins over any other (Helm, MergeValues)."""
    expected = {p["name"]: escaped(p["value"]) for p in given_to_it if not p["forceString"]}
    expected |= {p["name"]: escaped(p["value"]) for p in given_to_it if p["forceString"]}
    assert parameters(FAILED.format(command("web", "web", given_to_it))) == expected


@given(st.from_regex(r"[a-zA-Z0-9._-]{1,60}", fullmatch=True))
def test_a_topics_name_is_never_escaped(topic: str) -> None:
    assert escaped(topic) == plain(topic) == topic


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SAID, {"image.tag": "3.12"}),
        (FAILED.format("helm template . --name-template x --include-crds"), {}),
        (FAILED.format("helm template . --set a=1 --set-file a=/a.txt --set-string a=2"), {"a": "/a.txt"}),
        (
            FAILED.format("helm template . --set a=b=c --set list={a,b} --set none="),
            {"a": "b=c", "list": "{a,b}", "none": ""},
        ),
        (FAILED.format("kustomize build /tmp/x"), None),
        ("Unable to generate manifests in chart: app path does not exist", None),
        ("", None),
    ],
)
def test_what_a_message_tells_of_the_parameters(text: str, expected: dict[str, str] | None) -> None:
    assert parameters(text) == expected


def test_a_persons_commas_come_without_backslashes() -> None:
    assert plain(escaped("a,b\\,c")) == "a,b,c"
