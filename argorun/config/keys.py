"""Every key of argorun.yaml: its meaning, default, limits and an example."""

from __future__ import annotations

import dataclasses
from typing import Any

from argorun.kafka.names import MAX_PREFIX

REPOSITORY = "https://github.com/argorun/argorun"
SCHEMA_URL = (
    f"{REPOSITORY.replace('github', 'raw.githubusercontent')}/main/docs/reference/argorun.schema.json"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Key:
    """What is known of a key beside its type. Texts are Markdown, and so is `otherwise`."""

    about: str
    example: Any
    form: str = ""  # the type, in words that say more than the JSON Schema's
    default: Any = None  # None: there is none, and `otherwise` may say what holds without the key
    otherwise: str = ""
    limits: dict[str, Any] = dataclasses.field(default_factory=dict)  # in the words of JSON Schema
    variable: str = ""  # of the environment, which wins
    option: str = ""  # of `argorun run`, which wins over both


_NAME = "[a-z0-9]([a-z0-9.-]*[a-z0-9])?"
_DURATION = (
    r"\s*([0-9]{1,8}|([0-9]{1,5}h)?([0-9]{1,6}m)?[0-9]{1,8}s|([0-9]{1,5}h)?[0-9]{1,6}m|[0-9]{1,5}h)\s*$"
)
_SOME_TIME = {"pattern": f"^(?=.*[1-9]){_DURATION}", "minimum": 1, "maximum": 99_999_999}
_TIME_OR_0 = {"pattern": f"^{_DURATION}", "minimum": 0, "maximum": 99_999_999}
_NOT_BLANK = {"pattern": r"\S"}
_HELM_NAME = r"^(?=.*\S)([^\\,=]|\\.)+$"
_COUNT = {"minimum": -1, "maximum": 32767, "not": {"const": 0}}
_A_DURATION = "duration: `90`, `90s`, `15m`, `1h30m`"

APPLICATION = {
    "application": Key(
        about="The Argo CD Application whose tests run: its name, `NAMESPACE/NAME`, or the three keys "
        "below. argorun changes its parameters during a run: give argorun an Application of its "
        "own.",
        form="name, or keys",
        example="weather",
        otherwise="the argument of `argorun run`",
        limits={"pattern": f"^(({_NAME})?/)?{_NAME}$"},
        option="APPLICATION",
    ),
    "application.name": Key(
        about="The Application's name.", example="weather", limits={"pattern": f"^{_NAME}$"}
    ),
    "application.namespace": Key(
        about="The namespace of the Application, where it is not Argo CD's own.",
        example="team-weather",
        otherwise="Argo CD's own namespace",
        limits={"pattern": f"^{_NAME}$"},
    ),
    "application.project": Key(
        about="The project that the Application must be in.",
        example="default",
        otherwise="any project",
    ),
}

ARGOCD = {
    "argocd": Key(
        about="How to reach Argo CD. The token comes from `ARGOCD_AUTH_TOKEN` or from `argocd login`, "
        "never from this file.",
        form="keys",
        example={"server": "argocd.example.com"},
    ),
    "argocd.server": Key(
        about="Argo CD's address: `HOST` or `HOST:PORT`.",
        example="argocd.example.com",
        otherwise="the server of `argocd login`",
        limits={"pattern": r"^\s*(https?://)?[^\s@?#$/]+(/.*|\s*)$"},
        variable="ARGOCD_SERVER",
        option="--server",
    ),
    "argocd.ca": Key(
        about="A PEM file with the CA that signed the server's certificate. A relative path starts at "
        "this file's folder.",
        form="path",
        example="ca.pem",
        otherwise="the CAs of the system",
        option="--ca",
    ),
    "argocd.insecure": Key(
        about="Do not verify the server's certificate. A run says so.",
        example=True,
        otherwise="what `argocd login` stored, else `false`",
    ),
    "argocd.plaintext": Key(
        about="Use http in place of https. A run says so: the token can be read on its way.",
        example=True,
        otherwise="what `argocd login` stored, else `false`",
    ),
    "argocd.root_path": Key(
        about="The path below which Argo CD is served.",
        example="/argocd",
        otherwise="what `argocd login` stored",
    ),
    "argocd.client_cert": Key(
        about="A PEM file with the client's certificate, for a proxy that asks for one. Goes with "
        "`client_key`.",
        form="path",
        example="client.pem",
        otherwise="what `argocd login --client-crt` stored",
    ),
    "argocd.client_key": Key(
        about="A PEM file with the key of `client_cert`.",
        form="path",
        example="client.key",
        otherwise="what `argocd login --client-crt-key` stored",
    ),
    "argocd.headers": Key(
        about="Headers of each request to Argo CD, for a gateway in front of it. Their values are "
        "secret; `${NAME}` takes an environment variable.",
        form="names and values",
        example={"X-Gateway-Key": "${GATEWAY_KEY}"},
    ),
    "argocd.timeout": Key(
        about="How long a request may take that makes Argo CD render the source. Other requests have 15 s.",
        form=_A_DURATION,
        example="2m",
        default="90s",
        limits=_SOME_TIME,
    ),
}

KAFKA = {
    "kafka": Key(
        about="How to reach Kafka: librdkafka's own property names, passed through unchanged. `${NAME}` "
        "takes an environment variable, so that no secret stands in this file.",
        form="properties and values",
        example={"bootstrap.servers": "kafka.example.com:9092"},
    ),
    "kafka.bootstrap.servers": Key(
        about="Kafka's addresses, separated by commas.",
        example="kafka.example.com:9092",
        otherwise="required here or in the environment",
        variable="KAFKA_BOOTSTRAP_SERVERS",
        option="--bootstrap-servers",
    ),
    "kafka.security.protocol": Key(
        about="`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.",
        example="SASL_SSL",
        otherwise="`PLAINTEXT`",
    ),
    "kafka.sasl.mechanism": Key(
        about="`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`.", example="SCRAM-SHA-512"
    ),
    "kafka.sasl.username": Key(about="The account that argorun uses.", example="argorun"),
    "kafka.sasl.password": Key(
        about="Its password; take it from the environment.", example="${KAFKA_PASSWORD}"
    ),
    "kafka.ssl.ca.location": Key(
        about="A PEM file with the CA that signed the brokers' certificates.", example="kafka-ca.pem"
    ),
}

TOPICS = {
    "topics": Key(
        about="The topics of a run. Each gets a name of its own, `{prefix}_{unix seconds}_{8 hex digits}`.",
        form="list of keys",
        example=[{"prefix": "weather_updates", "parameter": "kafka.topic"}],
        otherwise="`--topic` and `--parameter` of `argorun run`",
    ),
    "topics[].prefix": Key(
        about="How the topic's name begins. Kafka's ACLs and `argorun sweep` go by it.",
        example="weather_updates",
        otherwise="required",
        limits={"pattern": "^[a-zA-Z0-9._-]+$", "maxLength": MAX_PREFIX},
        option="--topic",
    ),
    "topics[].parameter": Key(
        about="Where the topic's name goes: a Helm parameter, by its name or as `{helm: NAME}`; a key "
        "of a ConfigMap under Kustomize; or a list of such places.",
        form="name, keys, or a list of both",
        example={"helm": "kafka.topic"},
        otherwise="required",
        limits={"pattern": _HELM_NAME, "minItems": 1},
        option="--parameter",
    ),
    "topics[].parameter.helm": Key(
        about="The name of a Helm parameter.", example="kafka.topic", limits={"pattern": _HELM_NAME}
    ),
    "topics[].parameter.kustomize": Key(
        about="A ConfigMap's key, which argorun sets by an inline patch.",
        form="keys",
        example={"configmap": "topic-config", "key": "topic_name"},
    ),
    "topics[].parameter.kustomize.configmap": Key(
        about="The ConfigMap's name, as it is rendered or as in its source.",
        example="topic-config",
        otherwise="required",
        limits=_NOT_BLANK,
    ),
    "topics[].parameter.kustomize.key": Key(
        about="The key whose value becomes the topic's name.",
        example="topic_name",
        otherwise="required",
        limits=_NOT_BLANK,
    ),
    "topics[].partitions": Key(
        about="How many partitions the topic gets; -1 leaves that to the broker.",
        example=3,
        default=-1,
        limits=_COUNT,
    ),
    "topics[].replication_factor": Key(
        about="On how many brokers each partition is; -1 leaves that to the broker.",
        example=3,
        default=-1,
        limits=_COUNT,
    ),
    "topics[].config": Key(
        about="The topic's settings, by Kafka's own names.",
        form="settings and values",
        example={"retention.ms": 3600000},
    ),
    "topics[].groups": Key(
        about="Delete empty consumer groups whose ID begins like this and contains the topic's name.",
        form="prefix of consumer groups",
        example="weather-tests-",
        otherwise="no group is deleted",
    ),
    "topics[].unverified": Key(
        about="Run the tests although argorun cannot see that one of them gets the topic's name. That "
        "is so where the name is in a Secret, whose values Argo CD hides.",
        example=True,
        default=False,
    ),
}

TESTS = {
    "tests": Key(
        about="Which tests decide whether the run is green.", form="keys", example={"jobs": ["run-tests"]}
    ),
    "tests.jobs": Key(
        about="The Jobs, or bare Pods, that must run and succeed.",
        form="list of names",
        example=["run-automation-tests-job"],
        otherwise="every PostSync Job and Pod; at least one must run",
        limits={"minLength": 1},
        option="--job",
    ),
}

TIMEOUTS = {
    "timeouts": Key(about="How long a run may take.", form="keys", example={"run": "15m", "cleanup": "90s"}),
    "timeouts.run": Key(
        about="The whole run, up to the verdict.",
        form=_A_DURATION,
        example="20m",
        default="15m",
        limits=_SOME_TIME,
        option="--timeout",
    ),
    "timeouts.busy": Key(
        about="How long to wait until no other operation and no other run uses the Application. Slow "
        "requests do not count.",
        form=_A_DURATION,
        example="30m",
        default="10m",
        limits=_SOME_TIME,
    ),
    "timeouts.cleanup": Key(
        about="How long putting everything back may take.",
        form=_A_DURATION,
        example="2m",
        default="90s",
        limits=_SOME_TIME,
    ),
    "timeouts.stuck": Key(
        about="How long a pod may be unable to start: its image is missing, no node has room. 0 waits "
        "until `timeouts.run`.",
        form=f"{_A_DURATION}; or `0`",
        example="2m",
        default="60s",
        limits=_TIME_OR_0,
    ),
}

KEYS: dict[str, Key] = APPLICATION | ARGOCD | KAFKA | TOPICS | TESTS | TIMEOUTS
"""By the way to the key; `[]` stands for each entry of a list."""
