"""After `argocd login` no settings are needed; a file that cannot be read is ignored."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from argorun.config.argocd_cli import stored
from argorun.config.model import CliSettings

PEM = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
LOGIN = {
    "current-context": "work",
    "contexts": [
        {"name": "other", "server": "o:1", "user": "o"},
        {"name": "work", "server": "argocd.example.com", "user": "work"},
    ],
    "servers": [
        {"server": "o:1"},
        {
            "server": "argocd.example.com",
            "insecure": True,
            "plain-text": True,
            "grpc-web-root-path": "argo",
            "certificate-authority-data": base64.b64encode(PEM.encode()).decode(),
        },
    ],
    "users": [{"name": "o", "auth-token": "wrong"}, {"name": "work", "auth-token": "right"}],
}


def written(folder: Path, content: object) -> CliSettings | None:
    folder.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (folder / "config").write_text(text, encoding="utf-8")
    return stored({"ARGOCD_CONFIG_DIR": str(folder)})


def test_the_current_contexts_server_token_and_connection_are_taken(tmp_path: Path) -> None:
    assert written(tmp_path, LOGIN) == CliSettings(
        server="argocd.example.com",
        token="right",
        insecure=True,
        plaintext=True,
        root_path="argo",
        ca_data=PEM,
    )


def test_a_certificate_may_be_kept_as_it_is(tmp_path: Path) -> None:
    servers = [{"server": "argocd.example.com", "certificate-authority-data": PEM}]
    settings = written(tmp_path, LOGIN | {"servers": servers})
    assert settings == CliSettings(server="argocd.example.com", token="right", ca_data=PEM)


KEY = "-----BEGIN PRIVATE KEY-----\nxyz\n-----END PRIVATE KEY-----\n"


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


KEPT = {"client-certificate-data": in_base64(PEM), "client-certificate-key-data": in_base64(KEY)}
FILES = {"client-certificate": "/c.crt", "client-certificate-key": "/c.key"}


@pytest.mark.parametrize(
    ("kept", "found"),
    [
        (FILES, {"client_cert": "/c.crt", "client_key": "/c.key"}),
        (KEPT, {"client_pem": f"{PEM}\n{KEY}"}),
        (FILES | KEPT, {"client_cert": "/c.crt", "client_key": "/c.key"}),
        ({"client-certificate": "/c.crt"}, {"client_cert": "/c.crt"}),
        ({"client-certificate-data": in_base64(PEM)}, {}),
    ],
)
def test_a_client_certificate_is_a_pair_of_files_or_kept_in_the_settings(
    tmp_path: Path, kept: dict[str, str], found: dict[str, str]
) -> None:
    settings = written(tmp_path, LOGIN | {"servers": [{"server": "argocd.example.com", **kept}]})
    assert settings == CliSettings(server="argocd.example.com", token="right", **found)


def test_a_server_and_a_user_that_are_only_named_have_no_more_settings(tmp_path: Path) -> None:
    assert written(tmp_path, LOGIN | {"servers": None, "users": []}) == CliSettings(
        server="argocd.example.com"
    )


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[",
        "a: 2020-13-45",
        "[" * 9000,
        LOGIN | {"current-context": "gone"},
        LOGIN | {"contexts": "none"},
        LOGIN | {"contexts": [{"name": "work"}]},
        LOGIN | {"contexts": [{"name": "work", "server": 5, "user": "work"}]},
        LOGIN | {"users": [{"name": "work", "auth-token": 5}]},
        LOGIN | {"servers": [{"server": "argocd.example.com", "certificate-authority-data": "no base64"}]},
        LOGIN | {"servers": [{"server": "argocd.example.com", "certificate-authority-data": 5}]},
    ],
)
def test_a_file_that_cannot_be_understood_is_as_good_as_none(tmp_path: Path, content: object) -> None:
    assert written(tmp_path, content) is None


JUNK: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(["work"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "server", "user"]), inner)
    ),
    max_leaves=6,
)


@given(st.sampled_from(sorted(LOGIN)), JUNK)
def test_no_content_breaks_argorun(tmp_path_factory: pytest.TempPathFactory, key: str, junk: object) -> None:
    settings = written(tmp_path_factory.getbasetemp() / "cli", LOGIN | {key: junk})
    assert settings is None or settings.server == "argocd.example.com"


def placed(folder: Path, server: str) -> None:
    folder.mkdir(parents=True)
    context = {"name": "c", "server": server, "user": "u"}
    (folder / "config").write_text(yaml.safe_dump({"current-context": "c", "contexts": [context]}))


def test_the_directories_are_the_argocd_clis_own_in_its_order(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    assert stored(environment) is None
    placed(tmp_path / ".config" / "argocd", "default")
    assert stored(environment) == CliSettings(server="default")
    placed(tmp_path / "xdg" / "argocd", "xdg")
    environment["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    assert stored(environment) == CliSettings(server="xdg")
    placed(tmp_path / ".argocd", "home")
    assert stored(environment) == CliSettings(server="home")
    placed(tmp_path / "dir", "dir")
    environment["ARGOCD_CONFIG_DIR"] = str(tmp_path / "dir")
    assert stored(environment) == CliSettings(server="dir")


def test_a_directory_in_the_files_place_or_no_home_at_all(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    assert stored({"ARGOCD_CONFIG_DIR": str(tmp_path)}) is None
    assert stored({"XDG_CONFIG_HOME": str(tmp_path / "none")}) is None
    assert stored({"ARGOCD_CONFIG_DIR": str(tmp_path / ("a" * 300))}) is None
