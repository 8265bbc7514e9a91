"""A configuration file: every YAML text is a File or a list of problems, and no secret is quoted."""

from __future__ import annotations

import re
import string
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from argorun.config.document import LARGEST
from argorun.config.file import ArgoCDFile, File, TestsFile, TopicFile, Written, read
from argorun.config.model import ApplicationRef, ConfigMapKey, Parameter
from argorun.config.problems import ConfigurationError, Problem, Problems


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "argorun.yaml"


def read_text(path: Path, text: str | bytes) -> tuple[Written, list[Problem]]:
    """What is read, and what is wrong with it; the file's folder cut out."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    problems = Problems()
    written = read(None, path.parent, problems)
    try:
        problems.raise_any()
    except ConfigurationError as e:
        return written, list(e.problems)
    return written, []


def file(path: Path, text: str | bytes) -> File:
    written, problems = read_text(path, text)
    assert problems == []
    return written.file


def wrong(path: Path, text: str | bytes) -> list[str]:
    return [p.text for p in read_text(path, text)[1]]


# -- what is accepted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "application: weather\ntests: {jobs: [a]}\n",
        b"\xef\xbb\xbfapplication: weather\r\ntests:\r\n  jobs:\r\n  - a\r\n",
        "---\napplication: weather\ntests: {jobs: [a]}\n...\n",
        "%YAML 1.1\n---\napplication: weather\ntests: {jobs: [a]}\n",
        "tests: {jobs: a}\napplication: !!str weather\nkafka:\ntopics:\nargocd:\ntimeouts:\n",
        '{"application": "weather", "tests": {"jobs": ["a"]}}',
        "? application\n: weather\n? tests\n: {jobs: [a]}\n",
    ],
)
def test_one_configuration_can_be_written_in_many_ways(path: Path, text: str | bytes) -> None:
    assert file(path, text) == File(application="weather", tests=TestsFile(jobs=["a"]))


def test_anchors_and_merge_keys_work_and_what_is_written_wins(path: Path) -> None:
    text = """
    topics:
      - &first {prefix: a, parameter: p, partitions: 3, config: &config {retention.ms: 1000, x: on}}
      - {<<: *first, prefix: b, parameter: q, config: {<<: [*config, {y: 2}], x: "off"}}
    """
    assert file(path, text).topics == [
        TopicFile(prefix="a", parameter="p", partitions=3, config={"retention.ms": "1000", "x": True}),
        TopicFile(
            prefix="b", parameter="q", partitions=3, config={"x": "off", "retention.ms": "1000", "y": "2"}
        ),
    ]


def test_every_form_of_a_place_and_of_an_application_arrives(path: Path) -> None:
    text = """
    application: {name: weather, namespace: apps, project: demo}
    topics: [{prefix: a, parameter: [p, {helm: q}, {kustomize: {configmap: c, key: k}}]}]
    """
    assert file(path, text) == File(
        application=ApplicationRef(name="weather", namespace="apps", project="demo"),
        topics=[
            TopicFile(
                prefix="a",
                parameter=[
                    "p",
                    Parameter(helm="q"),
                    Parameter(kustomize=ConfigMapKey(configmap="c", key="k")),
                ],
            )
        ],
    )


@pytest.mark.parametrize("written", ["0123", "yes", "1:30", "1e5", "2024-01-01", "0x1F", "1_000", "'007'"])
def test_a_password_and_a_header_are_taken_as_they_are_written(path: Path, written: str) -> None:
    found = file(path, f"kafka: {{sasl.password: {written}}}\nargocd: {{headers: {{X: {written}}}}}")
    plain = written.strip("'")
    assert (found.kafka, found.argocd) == ({"sasl.password": plain}, ArgoCDFile(headers={"X": plain}))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("No", False),
        ("on", True),
        ("1_000", "1000"),
        ("0.5", "0.5"),
        ("a b", "a b"),
        ("-1", "-1"),
    ],
)
def test_other_values_of_kafkas_are_what_yaml_reads(path: Path, written: str, value: str | bool) -> None:
    assert file(path, f"kafka: {{x: {written}}}").kafka == {"x": value}


def test_the_line_of_every_key_is_known(path: Path) -> None:
    written, _ = read_text(path, "application: a\nkafka:\n  x.y: 1\ntopics:\n- prefix: a\n  parameter: p\n")
    places = (("application",), ("kafka", "x.y"), ("topics", 0), ("topics", 0, "parameter"), ("argocd",))
    assert [written.at(*place)[0] for place in places] == [1, 3, 5, 6, 0]


# -- what is not ---------------------------------------------------------------------------------------------


def test_a_file_of_a_megabyte_is_refused_at_once(path: Path) -> None:
    began = time.process_time()
    assert wrong(path, b"# " + b"x" * 2**20) == [f"argorun.yaml: is larger than {LARGEST // 1024} KiB"]
    assert time.process_time() - began < 1


def test_a_file_of_the_largest_size_is_read(path: Path) -> None:
    entry = "- {prefix: a, parameter: b}\n"
    assert len(file(path, "topics:\n" + entry * (LARGEST // len(entry) - 1)).topics) > 9000


def test_a_device_without_an_end_is_refused(tmp_path: Path) -> None:
    problems = Problems()
    read(Path("/dev/zero"), tmp_path, problems)
    with pytest.raises(ConfigurationError, match="/dev/zero: is larger than"):
        problems.raise_any()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "{a: " * 5000,
        "- " * 5000,
        "a: &a [*a]",
        "&a {<<: *a}",
        "application: &a {name: *a}",
        '"\\UFFFFFFFF"',
        f"%YAML 1.{'9' * 5000}\n--- a",
        "topics: [{prefix: a, parameter: b, partitions: " + "9" * 5000 + "}]",
        "<<: 5",
        "<<: [[a]]",
        "=: =",
        "application: !!python/object/apply:os.system [ls]",
        "application: !!binary aGVsbG8=",
        "application: !!set {a, b}",
        "application: !!int x",
        "kafka: {? {a: b} : c}",
        "\0",
        "a: \ud7ff\ufffe",
        "- &a a\n- *b",
        "application: *" + "a" * 1000,
    ],
)
def test_a_nasty_text_is_a_few_problems(path: Path, text: str) -> None:
    assert 0 < len(wrong(path, text)) <= 3


def test_aliases_of_aliases_take_no_time(path: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 20)}]" for i in range(1, 30))]
    merges = [
        "b0: &b0 {x: 1}",
        *(f"b{i}: &b{i} {{<<: [{', '.join([f'*b{i - 1}'] * 20)}]}}" for i in range(1, 30)),
    ]
    began = time.process_time()
    assert len(wrong(path, "\n".join([*lines, *merges]))) == 60
    assert time.process_time() - began < 2


def test_many_aliases_of_one_list_are_too_much(path: Path) -> None:
    places = ", ".join(f"p{i}" for i in range(1000))
    text = f"topics:\n- &t {{prefix: a, parameter: [{places}]}}\n" + "- *t\n" * 1000
    assert wrong(path, text) == ["argorun.yaml: is too large"]


def test_no_more_than_a_screen_of_problems_is_shown(path: Path) -> None:
    path.write_text("".join(f"zz{i}: 1\n" for i in range(100)))
    problems = Problems()
    read(None, path.parent, problems)
    with pytest.raises(ConfigurationError, match="100 problems in") as e:
        problems.raise_any()
    assert len(e.value.problems) == 100
    assert e.value.hint.count("unknown key") == 25
    assert e.value.hint.endswith("\n… and 75 more")


# -- whatever the text ---------------------------------------------------------------------------------------

KEYS = sorted(
    {key for kind in (File, ArgoCDFile, TopicFile) for key in kind.__struct_fields__}
    | {"name", "namespace", "helm", "kustomize", "configmap", "key", "jobs", "run", "stuck", "<<"}
)
SCALARS = st.one_of(
    st.sampled_from(
        ["5", "true", "no", "null", "~", "1:30", "010", "2024-13-01", "${A}", "'x'", '"x"', "a/b", ""]
    ),
    st.text(string.printable, max_size=6).map(lambda t: yaml.safe_dump(t, default_style='"').strip()),
    st.integers().map(str),
)
FLOWS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(st.sampled_from(KEYS), inner), max_size=5).map(
            lambda pairs: "{" + ", ".join(f"{k}: {v}" for k, v in pairs) + "}"
        ),
    ),
    max_leaves=15,
)
FILES = st.lists(st.tuples(st.sampled_from(File.__struct_fields__), FLOWS), max_size=6).map(
    lambda pairs: "".join(f"{k}: {v}\n" for k, v in pairs)
)


@given(FILES)
def test_any_values_are_a_file_or_problems_that_name_it(path: Path, text: str) -> None:
    written, problems = read_text(path, text)
    assert isinstance(written.file, File)
    assert [p for p in problems if not p.text.startswith("argorun.yaml:") or "\n" in p.text] == []
    assert [p for p in problems if re.search("`(str|int|bool|array|object|null)", p.text)] == []


@given(st.text(max_size=80))
def test_any_text_is_a_file_or_problems_that_name_it(path: Path, text: str) -> None:
    problems = read_text(path, text.encode("utf-8", "surrogatepass"))[1]
    assert [p for p in problems if not p.text.startswith("argorun.yaml:")] == []


@given(st.binary(max_size=60))
def test_any_bytes_are_a_file_or_problems_that_name_it(path: Path, raw: bytes) -> None:
    problems = read_text(path, raw)[1]
    assert [p for p in problems if not p.text.startswith("argorun.yaml:")] == []


SECRET = "q8ZkW0vJ"
SECRET_PLACES = [
    "kafka: {{sasl.password: {value}}}",
    "kafka: {{ssl.key.pem: {value}, x: [1]}}",
    "kafka: {{sasl.password: [{value}]}}",
    "kafka: {value}",
    "kafka: [{value}]",
    "kafka: {{x: {value}, y: 010}}",
    "argocd: {{headers: {{X: {value}}}, timeout: x}}",
    "argocd: {{headers: {value}}}",
    "argocd: {{headers: [{value}]}}",
    "argocd: {{token: {value}}}",
    "argocd: {{server: 'https://me:{bare}@host:x'}}",
    "sasl.password: {value}",
    "kafka: {{sasl.password: &p {value}}}\napplication: *p\ntopics: [{{prefix: *p, parameter: [*p, [*p]]}}]",
    "kafka: &p [{value}]\napplication: *p\ntopics: [*p]\ntests: {{jobs: *p}}",
    "kafka: {{sasl.password: &p [{value}, {{x: {value}}}]}}\napplication: *p\ntests: *p\ntimeouts: *p",
    "argocd: {{headers: {{X: &p {value}}}}}\ntests: {{jobs: *p}}\napplication: *p\ntopics: [*p]",
    "kafka: {{sasl.password: &p {value}}}\ntimeouts: {{run: *p}}\ntests: {{jobs: {{a: *p}}}}\nx: 5",
]
FORMS = [
    "{0}",
    '"{0}"',
    "'{0}'",
    "*{0}",
    "!{0}",
    "&{0}",
    "!!{0} x",
    '"{0}\\n{0}"',
    "|\n  {0}\n",
    "{0}: x",
    "{{{0}: x}}",
    "[{{a: {0}}}]",
    "{{a: [{0}]}}",
    "? {0}\n",
    "@{0}",
]


@given(st.sampled_from(SECRET_PLACES), st.sampled_from(FORMS), FILES)
def test_no_problem_quotes_a_secret(path: Path, place: str, form: str, more: str) -> None:
    text = place.format(value=form.format(SECRET), bare=SECRET)
    for whole in (text, f"{text}\n{more}", f"{more}{text}"):
        shown = [part for p in read_text(path, whole)[1] for part in p]
        assert [part for part in shown if SECRET in part] == []


@pytest.mark.parametrize("secret", ["a", "on", "q8Z"])
def test_a_short_secret_hides_itself_and_not_every_word_with_its_letters(path: Path, secret: str) -> None:
    text = f"kafka: {{sasl.password: '{secret}'}}\naplication: x\ntopics: [{{prefix: a b, parameter: [5]}}]\n"
    assert "argorun.yaml:2: unknown key 'aplication'" in wrong(path, text)
    assert wrong(path, f"{text}timeouts: {{run: '{secret}'}}\n")[-1] == (
        "argorun.yaml:4: timeouts.run: a duration like 90s, 15m or 1h30m; got a secret"
    )


@given(FILES)
def test_reading_twice_says_the_same(path: Path, text: str) -> None:
    first: Any = read_text(path, text)
    assert read_text(path, text) == first
