"""What `argorun init` asks, what it takes without asking, and what it says is missing."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from argorun.argocd.client import Client
from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.types import ApplicationSet, Metadata
from argorun.cli.prompts import Prompts
from argorun.config.model import ApplicationRef, ArgoCD, ConfigMapKey, Parameter
from argorun.config.problems import Problems
from argorun.errors import AccessDenied, ArgoCDFailed, ArgorunError
from argorun.init.answers import Answers, KafkaAnswer, ServerAnswer, TestsAnswer, TopicAnswer
from argorun.init.steps import Init
from argorun.init.wishes import Given, InitFlags
from tests.unit.argocd.fakes import DOWN, FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.init.manifests import BY_HAND, HOOKS, SPRING, objects

T = TypeVar("T")
ENVIRONMENT = {"ARGOCD_SERVER": "argocd.example.com", "ARGOCD_AUTH_TOKEN": "t0ken"}
KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "kafka.example.com:9092"}
VALUES = {"kafka.topic": "", "kafka.topicDlq": "", "image": "example/x"}
HELM: Json = {
    "source": {"repoURL": "https://git.example.com/weather.git", "path": "chart"},
    "project": "default",
}
HYDRATED = HELM | {"sourceHydrator": {"a": 1}}
CONFIG = objects("""
apiVersion: v1
kind: ConfigMap
metadata: {name: topic-config}
data: {topic_name: weather_updates_1700000000_0a1b2c3d}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: hellotilt}
spec: {template: {spec: {containers: [{name: a, envFrom: [{configMapRef: {name: topic-config}}]}]}}}
""")


class Requests:
    """The way to a FakeArgoCD."""

    def __init__(self, argocd: FakeArgoCD, answering: set[str]) -> None:
        self.argocd, self.answering = argocd, answering

    def connect(self, settings: ArgoCD, given: str) -> Client:
        return self.argocd.client

    def reached(self, servers: Sequence[str]) -> set[str]:
        return self.answering & set(servers)

    def wait(self, request: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await request

        return asyncio.run(awaited())


class Setup:
    """One call of `argorun init`, with what is typed; `screen` is all that was shown."""

    def __init__(self, tmp_path: Path, argocd: FakeArgoCD, typed: str | None = None) -> None:
        self.folder, self.argocd = tmp_path, argocd
        self.answering: set[str] = set()  # brokers
        self.err = io.StringIO()
        stdin = io.StringIO(typed) if typed is not None else None
        self.prompts = Prompts(stdin, self.err, lambda text: text, can_ask=typed is not None)

    def make(self, environment: Mapping[str, str] = ENVIRONMENT, **flags: Any) -> Answers:
        given = Given(
            flags=InitFlags(**flags),
            environment=environment,
            folder=self.folder,
            cli=None,
            mask=lambda *_: None,
            check_properties=lambda _: (),
        )
        return Init(given, self.prompts, Requests(self.argocd, self.answering)).make(
            self.folder / "argorun.yaml", Problems()
        )

    @property
    def screen(self) -> str:
        return self.err.getvalue()


def chart(
    values: dict[str, str] | None = VALUES, manifests: list[Json] = HOOKS, spec: Json = HELM
) -> FakeArgoCD:
    argocd = FakeArgoCD(spec)
    argocd.values_answer, argocd.source = values, manifests
    return argocd


def kustomization(manifests: list[Json]) -> FakeArgoCD:
    argocd = chart(None, manifests)
    argocd.document["status"]["sourceType"] = "Kustomize"
    return argocd


def error_of(setup: Setup, *environments: Mapping[str, str], **flags: Any) -> tuple[str, list[str]]:
    environment = {k: v for e in environments or (ENVIRONMENT,) for k, v in e.items()}
    with pytest.raises(ArgorunError) as error:
        setup.make(environment, **flags)
    return error.value.message, error.value.hint.splitlines()


# -- nobody to ask --------------------------------------------------------------------------------------

NOT_WRITTEN = "no argorun.yaml was written: {} missing, and there is no terminal to ask at"


def test_what_is_unambiguous_is_taken(tmp_path: Path) -> None:
    setup = Setup(tmp_path, chart())
    assert setup.make(ENVIRONMENT | KAFKA) == Answers(
        ApplicationRef(name="weather"),
        ServerAnswer("argocd.example.com"),
        KafkaAnswer({"bootstrap.servers": "kafka.example.com:9092"}),
        (TopicAnswer("weather", Parameter(helm="kafka.topic"), "in the chart's values"),),
        TestsAnswer(
            ("run-automation-tests-job",), ("Job run-automation-tests-job (PostSync): among the manifests",)
        ),
    )
    assert setup.screen == (
        "Argo CD: v3.6.1 at https://argocd.example.com (ARGOCD_SERVER), no proxy\n"
        "token: account ci, it does not say when it expires\n"
        "\n"
        "weather: Helm, chart, renders to 4 objects\n"
        "topic: weather_…, in helm: kafka.topic (in the chart's values)\n"
        "tests: run-automation-tests-job (among the manifests)\n"
        "Kafka: kafka.example.com:9092 (KAFKA_BOOTSTRAP_SERVERS)\n"
        "\n"
    )
    assert [c for c in setup.argocd.calls if c.startswith(("patch", "sync", "replace", "terminate"))] == []


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    values = {"inputTopic": "in", "outputTopic": ""}
    assert error_of(Setup(tmp_path, chart(values, BY_HAND))) == (
        NOT_WRITTEN.format("these are"),
        [
            "parameter: --parameter NAME, one of: inputTopic  (now in, in the chart's values), "
            "outputTopic  (empty now, in the chart's values)",
            "Kafka: --bootstrap-servers, or KAFKA_BOOTSTRAP_SERVERS",
            f"  the manifests have {IN_CLUSTER} (Deployment basic-kafka-consumer, variable BOOTSTRAP_SERVER)"
            ": not reached from here; the cluster's address may not be reachable from CI",
        ],
    )


def test_without_an_address_everything_else_is_told_as_well(tmp_path: Path) -> None:
    assert error_of(Setup(tmp_path, chart()), {}) == (
        NOT_WRITTEN.format("these are"),
        [
            "Argo CD: --server, ARGOCD_SERVER, or `argocd login`",
            "a token: ARGOCD_AUTH_TOKEN, or `argocd login`",
            "application: argorun init APPLICATION",
            "Kafka: --bootstrap-servers, or KAFKA_BOOTSTRAP_SERVERS",
        ],
    )


def test_how_to_get_a_token_is_said(tmp_path: Path) -> None:
    message, hint = error_of(Setup(tmp_path, chart()), {"ARGOCD_SERVER": "argocd.example.com"})
    assert message == NOT_WRITTEN.format("these are")
    assert (hint[0], hint[4:]) == (
        "token for Argo CD at argocd.example.com",
        [
            "application: argorun init APPLICATION",
            "Kafka: --bootstrap-servers, or KAFKA_BOOTSTRAP_SERVERS",
        ],
    )
    assert hint[1:3] == [
        "  argorun's account: `argocd account generate-token --account argorun`, "
        "then export ARGOCD_AUTH_TOKEN",
        "  your own account: `argocd login`, whose token argorun uses",
    ]


def test_a_token_that_sees_nothing_needs_the_application(tmp_path: Path) -> None:
    argocd = chart()
    argocd.listed = False
    assert error_of(Setup(tmp_path, argocd), ENVIRONMENT, KAFKA) == (
        NOT_WRITTEN.format("this is"),
        ["application: argorun init APPLICATION; the token sees none"],
    )


def test_the_flags_answer_everything(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    setup = Setup(tmp_path, chart(None, []))
    answers = setup.make(
        {"ARGOCD_AUTH_TOKEN": "t0ken"},
        application="weather",
        server="https://argocd.example.com/argocd",
        ca="ca.pem",
        topics=("in", "out"),
        parameters=("kafka.in", "kafka.out"),
        jobs=("checks",),
        bootstrap_servers="kafka:9094",
        kafka=("security.protocol=SASL_SSL", "sasl.password=${KAFKA_PASSWORD}"),
    )
    assert answers == Answers(
        ApplicationRef(name="weather"),
        ServerAnswer("argocd.example.com", ca="ca.pem", root_path="argocd"),
        KafkaAnswer(
            {
                "bootstrap.servers": "kafka:9094",
                "security.protocol": "SASL_SSL",
                "sasl.password": "${KAFKA_PASSWORD}",
            }
        ),
        (TopicAnswer("in", Parameter(helm="kafka.in")), TopicAnswer("out", Parameter(helm="kafka.out"))),
        TestsAnswer(("checks",)),
    )


def test_wrong_flags_are_told_at_once_and_no_secret_is_shown(tmp_path: Path) -> None:
    message, hint = error_of(
        Setup(tmp_path, chart()),
        topics=("bad topic", "b"),
        parameters=("",),
        jobs=("a\nb",),
        server="a b",
        bootstrap_servers="kafka 9092",
        kafka=("sasl.password=s3cret", "=s3cret", "bootstrap.servers=a:1", "client.id=a", "client.id=b"),
    )
    assert message == "10 problems on the command line"
    shown = "\n".join(hint)
    assert "s3cret" not in shown
    for part in (
        "--topic: 'bad topic' contains ' '",
        "--parameter: is empty",
        "--job: 'a\\nb' contains a control character",
        "--server: 'a b' is not an Argo CD server",
        "--bootstrap-servers: 'kafka 9092' is not HOST:PORT; write HOST:PORT, several with commas",
        "--kafka: sasl.password: a secret does not belong in a file",
        "--kafka: bootstrap.servers has an option of its own",
        "--kafka: client.id is given twice",
        "--topic is given 2 times, and --parameter 1 times",
    ):
        assert part in shown


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("SASL_SSL://me:s3cret@kafka:9092", "'SASL_SSL://***@kafka:9092' is not HOST:PORT"),
        ("kafka 9092", "'kafka 9092' is not HOST:PORT"),
        ("kafka\x07:9092", "'kafka\\x07:9092' contains a control character"),
    ],
)
def test_kafkas_variable_is_checked_as_its_flag_and_no_secret_of_it_reaches_screen_or_file(
    tmp_path: Path, value: str, message: str
) -> None:
    setup = Setup(tmp_path, chart())
    given = {"KAFKA_BOOTSTRAP_SERVERS": value}
    assert error_of(setup, ENVIRONMENT, given)[0] == f"KAFKA_BOOTSTRAP_SERVERS: {message}"
    flag = setup.make(ENVIRONMENT | given, bootstrap_servers="kafka.example.com:9092")  # it wins
    assert flag.kafka == KafkaAnswer({"bootstrap.servers": "kafka.example.com:9092"})
    assert "s3cret" not in setup.screen


def test_a_prefix_for_each_parameter(tmp_path: Path) -> None:
    assert error_of(Setup(tmp_path, chart()), ENVIRONMENT, KAFKA, topics=("a", "b")) == (
        "--topic is given 2 times, for 1 parameters",
        ["give one --topic for each parameter"],
    )


# -- the Application ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "source_type", "message"),
    [
        ({"sources": [{}]}, "Helm", "has several sources (spec.sources), which argorun does not support yet"),
        (HYDRATED, "Helm", "uses a source hydrator: Argo CD ignores its parameters"),
        (HELM, "Directory", "has a directory source, which takes no parameters"),
        (HELM, "Plugin", "has a plugin source, which takes no parameters"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_told_with_where_to_read_on(
    tmp_path: Path, spec: Json, source_type: str, message: str
) -> None:
    argocd = chart(spec=spec)
    argocd.document["status"]["sourceType"] = source_type
    said, hint = error_of(Setup(tmp_path, argocd))
    assert said == f"Application weather {message}"
    assert hint[-1].startswith("read on: https://github.com/argorun/argorun/blob/main/docs/")


def test_a_missing_application_is_6(tmp_path: Path) -> None:
    argocd = chart()
    argocd.meets("application", Denied("show it", 403, "permission denied", ""))
    with pytest.raises(AccessDenied):
        Setup(tmp_path, argocd).make(application="wether")


def test_where_argo_cd_is_lost_nothing_more_is_asked(tmp_path: Path) -> None:
    argocd = chart()
    argocd.meets("application", DOWN)
    with pytest.raises(ArgoCDFailed):
        Setup(tmp_path, argocd, "1\n1\n").make()


def test_permissions_that_are_missing_are_told_and_do_not_stop_it(tmp_path: Path) -> None:
    argocd = chart()
    argocd.forbidden.add(("update", "applications", "default/weather"))
    setup = Setup(tmp_path, argocd)
    setup.make(ENVIRONMENT | KAFKA)
    assert "  p, role:argorun, applications, update, default/weather, allow\n" in setup.screen
    assert (
        "  read on: https://github.com/argorun/argorun/blob/main/docs/how-to/permissions.md\n" in setup.screen
    )


def test_an_owner_and_auto_sync_are_told_and_do_not_stop_it(tmp_path: Path) -> None:
    argocd = chart(spec=HELM | {"syncPolicy": {"automated": {}}})
    argocd.document["metadata"]["ownerReferences"] = [{"kind": "ApplicationSet", "name": "all"}]
    argocd.application_sets["all", ""] = ApplicationSet(metadata=Metadata(name="all"))
    setup = Setup(tmp_path, argocd)
    setup.make(ENVIRONMENT | KAFKA)
    assert "auto-sync: on: a run switches it off, and on again\n" in setup.screen
    assert "ApplicationSet all" in setup.screen
    assert "docs/how-to/owned-applications.md" in setup.screen


def test_a_chart_that_does_not_render_without_a_topic_is_no_obstacle(tmp_path: Path) -> None:
    argocd = chart()
    argocd.meets("manifests", ApiError("render", 400, 3, "a topic is required"))
    setup = Setup(tmp_path, argocd)
    assert setup.make(ENVIRONMENT | KAFKA).tests == TestsAnswer(
        (), ("No PostSync Job or Pod is rendered now: a chart may make its hooks only when a topic is set.",)
    )
    assert "weather: Helm, chart\n! it does not render as it is: a topic is required\n" in setup.screen


def test_of_a_kustomization_that_does_not_render_nobody_says_what_it_has_not(tmp_path: Path) -> None:
    argocd = kustomization(CONFIG)
    argocd.meets("manifests", ApiError("render", 400, 3, "no such base"))
    _, hint = error_of(Setup(tmp_path, argocd), ENVIRONMENT, KAFKA)
    assert hint == [
        "parameter: --parameter NAME. As it does not render, its ConfigMaps are not known; "
        "write CONFIGMAP/KEY."
    ]


# -- parameters -----------------------------------------------------------------------------------------


def test_a_charts_values_that_argocd_does_not_show_are_told_with_the_policy_that_is_missing(
    tmp_path: Path,
) -> None:
    _, (line, policy) = error_of(Setup(tmp_path, chart(None)), ENVIRONMENT, KAFKA)
    assert policy == "p, role:argorun, repositories, get, https://git.example.com/weather.git, allow"
    assert line == (
        "parameter: --parameter NAME. The Application has none that looks like it, and Argo CD does not show "
        "the chart's values to this token: see the chart's values.yaml, or add to Argo CD's policy.csv:"
    )


def test_a_misspelt_parameter_is_told_with_the_right_one(tmp_path: Path) -> None:
    assert error_of(Setup(tmp_path, chart()), ENVIRONMENT, KAFKA, parameters=("kafka.topc",)) == (
        "the chart of weather has no value kafka.topc",
        ["did you mean kafka.topic?"],
    )


def test_a_configmaps_key_is_found_with_the_prefix_of_the_topic_that_stands_there(tmp_path: Path) -> None:
    (topic,) = Setup(tmp_path, kustomization(CONFIG)).make(ENVIRONMENT | KAFKA).topics
    place = Parameter(kustomize=ConfigMapKey(configmap="topic-config", key="topic_name"))
    assert topic == TopicAnswer("weather_updates", place, "read by Deployment hellotilt")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("topic-config", "'topic-config' names no ConfigMap's key"),
        ("topic-config/topc_name", "ConfigMap topic-config of Application weather has no key topc_name"),
        ("topic-confg/topic_name", "Application weather renders no ConfigMap topic-confg"),
    ],
)
def test_a_configmaps_key_that_is_not_there_is_told(tmp_path: Path, typed: str, message: str) -> None:
    setup = Setup(tmp_path, kustomization(CONFIG))
    assert error_of(setup, ENVIRONMENT, KAFKA, parameters=(typed,))[0] == message


def test_a_name_in_a_deployment_itself_is_explained(tmp_path: Path) -> None:
    _, (line,) = error_of(Setup(tmp_path, kustomization(BY_HAND)), ENVIRONMENT, KAFKA)
    assert line.endswith("A name that stands in a Deployment itself must go into a ConfigMap first.")


# -- somebody to ask ------------------------------------------------------------------------------------


def test_enter_takes_what_is_suggested(tmp_path: Path) -> None:
    setup = Setup(tmp_path, chart(), "\n\n\n\nkafka:9092\n")
    answers = setup.make()
    assert answers.topics == (TopicAnswer("weather", Parameter(helm="kafka.topic"), "in the chart's values"),)
    assert answers.kafka.properties == {"bootstrap.servers": "kafka:9092"}
    assert setup.screen == (
        "Argo CD: v3.6.1 at https://argocd.example.com (ARGOCD_SERVER), no proxy\n"
        "token: account ci, it does not say when it expires\n"
        "\n"
        "  1  weather  (chart)\n"
        "Application [1]: \n"
        "weather: Helm, chart, renders to 4 objects\n"
        "\n"
        "Which Helm parameter takes the topic's name? (several with commas; another one can be typed)\n"
        "  1  kafka.topic  (empty now, in the chart's values)\n"
        "  2  kafka.topicDlq  (empty now, in the chart's values)\n"
        "Parameter [1]: Prefix (the topic is PREFIX_<unix seconds>_<8 hex>) [weather]: \n"
        "Which of the PostSync hooks are the tests? They decide the verdict. (several with commas)\n"
        "  1  Job run-automation-tests-job (PostSync)\n"
        "  2  Job delete-topic-job (PostSync, SyncFail)\n"
        "  3  Job slack-notification (PostSync)\n"
        "Tests [1]: \n"
        "Kafka's address, as this machine and CI reach it.\n"
        "Bootstrap servers: \n"
    )


def test_what_is_wrong_is_asked_for_again(tmp_path: Path) -> None:
    typed = "argocd:x\nargocd\n7\nweather\nkafka.topc\n1,2\nbad topic\nin\nout\n1,checks\nkafka 1\nkafka:1\n"
    setup = Setup(tmp_path, chart(), typed)
    answers = setup.make({"ARGOCD_AUTH_TOKEN": "t0ken"})
    assert answers.argocd == ServerAnswer("argocd")
    assert [(t.prefix, t.parameter) for t in answers.topics] == [
        ("in", Parameter(helm="kafka.topic")),
        ("out", Parameter(helm="kafka.topicDlq")),
    ]
    assert answers.tests.jobs == ("run-automation-tests-job", "checks")
    for text in (
        "✗ 'argocd:x' does not have a valid port; write HOST or HOST:PORT",
        "✗ give a number from 1 to 1, or a name",
        "✗ the chart of weather has no value kafka.topc; did you mean kafka.topic?",
        "✗ 'bad topic' contains ' '",
        "✗ 'kafka 1' is not HOST:PORT",
    ):
        assert text in setup.screen


def test_an_application_that_takes_no_parameters_is_explained_and_another_one_asked_for(
    tmp_path: Path,
) -> None:
    argocd = chart()
    argocd.meets("application", lambda fake: fake.document["status"].update(sourceType="Directory"))
    argocd.meets("application", lambda fake: fake.document["status"].update(sourceType="Helm"))
    setup = Setup(tmp_path, argocd, "1\n1\n\n\n\nkafka:1\n")
    assert setup.make().application == ApplicationRef(name="weather")
    assert "! Application weather has a directory source, which takes no parameters\n" in setup.screen


def test_a_token_that_sees_nothing_lets_the_name_be_typed(tmp_path: Path) -> None:
    argocd = chart()
    argocd.listed = False
    setup = Setup(tmp_path, argocd, "weather\n\n\n\nkafka:1\n")
    assert setup.make().application == ApplicationRef(name="weather")
    assert "The token sees no Application; one that is there can be typed.\nApplication: " in setup.screen


def test_how_kafka_is_spoken_to_is_asked_where_the_manifests_show_it(tmp_path: Path) -> None:
    setup = Setup(tmp_path, chart(manifests=SPRING), "\n\n\n\nkafka:1\nsasl\nSASL_PLAINTEXT\n\n")
    assert setup.make().kafka.properties == {
        "bootstrap.servers": "kafka:1",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "${KAFKA_USERNAME}",
        "sasl.password": "${KAFKA_PASSWORD}",
    }
    assert "✗ is one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL\n" in setup.screen


def test_the_end_of_the_input_cancels(tmp_path: Path) -> None:
    setup = Setup(tmp_path, chart(), "1\n")
    with pytest.raises(KeyboardInterrupt):
        setup.make()


def test_several_parameters_can_be_typed_where_none_was_found(tmp_path: Path) -> None:
    typed = "a=b\nkafka.topic, other.topic\n\n\n\n\nkafka:1\n"
    setup = Setup(tmp_path, chart(None), f"\n{typed}")
    places = [str(t.parameter) for t in setup.make().topics]
    assert places == ["helm: kafka.topic", "helm: other.topic"]
    assert "✗ 'a=b' is not one Helm parameter" in setup.screen


def test_a_test_that_is_no_hook_is_taken_as_typed(tmp_path: Path) -> None:
    setup = Setup(tmp_path, chart(manifests=[]), "\n\n\nchecks, more\nkafka:1\n")
    assert setup.make().tests.jobs == ("checks", "more")


# -- Kafka ----------------------------------------------------------------------------------------------

IN_CLUSTER, OUTSIDE = (
    "my-cluster-kafka-bootstrap.kafka.svc:9092",
    "kafka-0.example.com:9093,kafka-1.example.com:9093",
)
BOTH = [*BY_HAND, *SPRING]


def test_an_address_of_the_manifests_is_taken_if_it_alone_answers_from_here(tmp_path: Path) -> None:
    setup = Setup(tmp_path, chart(manifests=BOTH))
    setup.answering = {OUTSIDE}
    kafka = setup.make().kafka
    assert kafka.properties == {"bootstrap.servers": OUTSIDE}
    assert kafka.notes == (
        f"The manifests have {IN_CLUSTER} (Deployment basic-kafka-consumer, variable BOOTSTRAP_SERVER): "
        "the cluster's address may not be reachable from CI.",
        "The manifests have security.protocol SASL_SSL (ConfigMap orders-config, key application.yaml).",
        "The manifests have sasl.mechanism SCRAM-SHA-512 (ConfigMap orders-config, key application.yaml).",
    )
    assert kafka.hints == {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512"}
    assert f"Kafka: {OUTSIDE} (seen in the manifests, and reached from here)\n" in setup.screen


def test_of_several_addresses_that_answer_none_is_taken(tmp_path: Path) -> None:
    setup = Setup(tmp_path, chart(manifests=BOTH))
    setup.answering = {IN_CLUSTER, OUTSIDE}
    message, hint = error_of(setup)
    assert (message, len(hint)) == (NOT_WRITTEN.format("this is"), 3)
    assert all(line.endswith(("answers from here", "may not be reachable from CI")) for line in hint[1:])


def test_an_address_that_answers_is_suggested_rather_one_that_is_not_the_clusters(tmp_path: Path) -> None:
    setup = Setup(tmp_path, chart(manifests=BOTH), "\n\n\n\n\n\n\n")
    setup.answering = {IN_CLUSTER, OUTSIDE}
    assert setup.make().kafka.properties["bootstrap.servers"] == OUTSIDE
    assert "answers from here; the cluster's address may not be reachable from CI\n" in setup.screen
