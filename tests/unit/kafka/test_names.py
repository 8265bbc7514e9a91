"""Topic names: only drawn names are parsed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.kafka.names import MAX_PREFIX, TopicName, check_prefix, draw, parse

LEGAL = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
prefixes = st.text(LEGAL, min_size=1, max_size=MAX_PREFIX)
times = st.floats(min_value=1e9, max_value=9_999_999_999, exclude_max=True)


def test_a_drawn_name_says_its_prefix_and_when() -> None:
    name = draw("weather_updates", 1753747200.9)
    assert name.startswith("weather_updates_1753747200_")
    assert len(name) == len("weather_updates_1753747200_") + 8


@given(prefixes, times)
def test_a_drawn_name_is_read_back(prefix: str, now: float) -> None:
    name = draw(prefix, now)
    parsed = parse(name)
    assert parsed is not None
    assert (parsed.prefix, parsed.created, str(parsed)) == (prefix, int(now), name)


@given(prefixes, times)
def test_two_names_of_one_second_differ(prefix: str, now: float) -> None:
    assert draw(prefix, now) != draw(prefix, now)


@given(prefixes, times)
def test_kafka_takes_every_drawn_name(prefix: str, now: float) -> None:
    name = draw(prefix, now)
    assert len(name) <= 249
    assert set(name) <= set(LEGAL)


@given(st.text(max_size=60))
def test_whatever_is_read_back_is_exactly_what_was_written(name: str) -> None:
    parsed = parse(name)
    assert parsed is None or str(parsed) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "weather_updates",
        "weather_updates_1753747200",
        "weather_updates_1753747200_",
        "weather_updates_1753747200_0a1b2c3",  # a digit short
        "weather_updates_1753747200_0a1b2c3d4",  # one too many
        "weather_updates_1753747200_0A1B2C3D",
        "weather_updates_1753747200_0a1b2c3g",
        "weather_updates_1753747200_0a1b2c3d-dlq",
        "weather_updates_1753747200_0a1b2c3d\n",
        "weather_updates_1753747200-0a1b2c3d",
        "weather_updates_175374720_0a1b2c3d",  # before 2001
        "weather_updates_0753747200_0a1b2c3d",
        "weather_updates_17537472000_0a1b2c3d",
        "weather_updates_١٧٥٣٧٤٧٢٠٠_0a1b2c3d",
        "_1753747200_0a1b2c3d",  # no prefix
        "wetter ü_1753747200_0a1b2c3d",
        "w" * 230 + "_1753747200_0a1b2c3d",  # 250 characters
    ],
)
def test_a_name_that_only_looks_alike_is_not_parsed(name: str) -> None:
    assert parse(name) is None


def test_a_prefix_may_look_like_a_drawn_name() -> None:
    assert parse("a_1753747200_0a1b2c3d_1753747201_deadbeef") == TopicName(
        "a_1753747200_0a1b2c3d", 1753747201, "deadbeef"
    )


@given(prefixes.filter(lambda p: p not in (".", "..")))
def test_a_legal_prefix_passes(prefix: str) -> None:
    assert check_prefix(prefix) is None


@pytest.mark.parametrize(
    ("prefix", "wrong"),
    [
        ("", "is empty"),
        (".", "may not be '.'"),
        ("..", "may not be '..'"),
        ("my topic", "contains ' ': Kafka allows only ASCII letters, digits, '.', '_' and '-'"),
        ("wetter-ü", "contains 'ü': Kafka allows only ASCII letters, digits, '.', '_' and '-'"),
        ("a\n", "contains '\\n': Kafka allows only ASCII letters, digits, '.', '_' and '-'"),
        ("٣", "contains '٣': Kafka allows only ASCII letters, digits, '.', '_' and '-'"),
        ("w" * 230, "has 230 characters: at most 229 leave room for what argorun appends"),
    ],
)
def test_what_is_wrong_with_a_prefix_is_said(prefix: str, wrong: str) -> None:
    assert check_prefix(prefix) == wrong


@given(st.text(max_size=260))
def test_kafka_takes_what_is_drawn_from_a_prefix_that_passes(prefix: str) -> None:
    if check_prefix(prefix) is None:
        name = draw(prefix, 1753747200)
        assert len(name) <= 249
        assert set(name) <= set(LEGAL)


def test_names_and_specs_do_not_import_the_kafka_client() -> None:
    code = (
        "import sys, argorun.kafka.names, argorun.kafka.spec, argorun.kafka.properties, argorun.kafka.errors;"
        "print([m for m in ('confluent_kafka', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
