"""Loads the Config of a run from flags, environment and argorun.yaml; no network.

Flags win over the environment, the environment over argorun.yaml, and that over the argocd CLI's own
settings. The environment and the files' folder are passed in, so that nothing here reads global state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from argorun.config import proxies
from argorun.config.file import DEFAULT_FILE, ArgoCDFile, File, TopicFile, lines, read
from argorun.config.model import (
    PARAMETER_FORMS,
    ApplicationRef,
    ArgoCD,
    Assignment,
    CliSettings,
    Config,
    Flags,
    Parameter,
    Timeouts,
    Topic,
)
from argorun.config.sources import CLI_LOGIN
from argorun.errors import UsageError
from argorun.kafka import names
from argorun.redact.secrets import Expansion, collecting, in_address, is_parameter, of_properties

CLI_CERTIFICATE = ("client-certificate", "client-certificate-key")


class NotConfigured(UsageError):
    """Argo CD's address or the token for it is given nowhere."""


def load(
    flags: Flags,
    environment: Mapping[str, str],
    folder: Path,
    cli: CliSettings | None = None,
    mask: Callable[..., None] = lambda *secrets: None,
) -> Config:
    """The checked Config of a run.

    `folder` is where argorun.yaml is looked for when no file is given. Raises UsageError, whose message
    names the file, the key and the fix; nothing has been touched then. Each secret goes to `mask` before a
    message may quote it.
    """
    path = flags.file or (folder / DEFAULT_FILE if (folder / DEFAULT_FILE).exists() else None)
    file, where = (read(path), str(path)) if path else (File(), "the command line")
    secrets, mask = collecting(environment, mask)
    expand = Expansion(environment, where, mask)
    kafka = kafka_settings(file, environment, expand, "no Kafka broker is configured")
    argocd = argocd_settings(file.argocd, environment, cli, path.parent if path else folder, expand, mask)
    made = topics(flags, file, where)
    sets = assignments(flags, {p.helm for t in made for p in t.parameters if p.helm})
    mask(*(s.value for s in sets if is_parameter(s.name)))
    return Config(
        application=application(flags, file, where),
        argocd=argocd,
        kafka=kafka,
        topics=made,
        jobs=flags.jobs or tuple(file.tests.jobs),
        timeouts=timeouts(flags, file, where),
        revision=flags.revision,
        sets=sets,
        keep_topics=flags.keep_topics,
        settle=not flags.no_settle,
        nudge=not flags.no_nudge,
        force_owned=flags.force_owned,
        dry_run=flags.dry_run,
        logs=flags.logs,
        secrets=tuple(sorted(secrets - {""})),
        sources=sources_of(flags, environment, lines(path) if path else {}, path),
    )


def sources_of(
    flags: Flags, environment: Mapping[str, str], written: Mapping[str, int], path: Path | None
) -> dict[str, str]:
    """Where each value was given: the argocd CLI's login, else the file, the variable, the flag."""
    given = {"argocd.server": CLI_LOGIN, "argocd.token": CLI_LOGIN}
    given |= {key: f"{path.name if path else ''}:{line}" for key, line in written.items()}
    variables = {
        "argocd.server": "ARGOCD_SERVER",
        "argocd.token": "ARGOCD_AUTH_TOKEN",
        "kafka.bootstrap.servers": "KAFKA_BOOTSTRAP_SERVERS",
    }
    given |= {key: name for key, name in variables.items() if environment.get(name)}
    typed = {
        "application": (flags.application, "the command line"),
        "topics": (flags.topic or flags.parameter, "--topic and --parameter"),
        "tests.jobs": (flags.jobs, "--job"),
        "timeouts.run": (flags.timeout, "--timeout"),
    }
    return given | {key: source for key, (value, source) in typed.items() if value}


def scalar(value: str | int | float | bool) -> str:
    """A YAML scalar as librdkafka and Kafka's topic configuration write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def kafka_settings(
    file: File, environment: Mapping[str, str], expand: Expansion, missing: str
) -> dict[str, str]:
    """librdkafka's properties, their secrets masked. UsageError(`missing`) where no broker is named."""
    kafka = {k: expand(f"kafka.{k}", scalar(v)) for k, v in file.kafka.items()}
    expand.mask(*of_properties(kafka))
    if environment.get("KAFKA_BOOTSTRAP_SERVERS"):
        kafka["bootstrap.servers"] = environment["KAFKA_BOOTSTRAP_SERVERS"]
        expand.mask(*in_address(kafka["bootstrap.servers"]))
    if not kafka.get("bootstrap.servers"):
        raise UsageError(
            missing, "set kafka: {bootstrap.servers: HOST:PORT} in argorun.yaml, or KAFKA_BOOTSTRAP_SERVERS"
        )
    return kafka


def argocd_settings(
    file: ArgoCDFile,
    environment: Mapping[str, str],
    cli: CliSettings | None,
    folder: Path,
    expand: Expansion,
    mask: Callable[..., None],
) -> ArgoCD:
    """Argo CD's address and credentials, from environment, argorun.yaml and the argocd CLI's settings."""
    server = environment.get("ARGOCD_SERVER") or file.server or (cli.server if cli else None)
    if not server:
        raise NotConfigured(
            "no Argo CD server is configured",
            "set argocd: {server: HOST} in argorun.yaml, or ARGOCD_SERVER, or run `argocd login`",
        )
    mask(*in_address(server))
    bare = without_scheme(server)
    # The CLI's settings hold for the server they were stored for, and for no other.
    stored = cli if cli and cli.server and without_scheme(cli.server) == bare else CliSettings()
    token = (environment.get("ARGOCD_AUTH_TOKEN") or stored.token or "").strip()
    mask(token)
    if not token:
        raise NotConfigured(
            f"no token for Argo CD at {bare}",
            "export ARGOCD_AUTH_TOKEN (argocd account generate-token), or run `argocd login`",
        )
    if not re.fullmatch(r"[!-~]+", token):
        raise UsageError(f"the token for Argo CD at {bare} contains a character that no token can contain")
    headers = request_headers(file, expand)
    plaintext = file.plaintext if file.plaintext is not None else stored.plaintext
    host, root = host_and_root(server)
    mask(*of_properties({"client.pem": stored.client_pem or ""}))
    settings = ArgoCD(
        server=host,
        token=token,
        ca=existing_file(folder, file.ca, "argocd.ca"),
        ca_data=stored.ca_data,
        insecure=file.insecure if file.insecure is not None else stored.insecure,
        plaintext=plaintext or bool(re.match(r"\s*http://", server, re.IGNORECASE)),
        root_path=file.root_path or root or stored.root_path,
        headers=headers,
        **client_certificate(file, stored, folder),
    )
    if file.timeout is not None:
        settings = msgspec.structs.replace(settings, timeout=duration(file.timeout, "argocd.timeout"))
    proxy, unused = proxies.proxy_for(settings.url, environment), proxies.not_used(settings.url, environment)
    return msgspec.structs.replace(settings, proxy=proxy, unused_proxy=unused)


def request_headers(file: ArgoCDFile, expand: Expansion) -> dict[str, str]:
    """`argocd.headers`, expanded and masked. Raises UsageError for what HTTP cannot send."""
    headers = {k: expand(f"argocd.headers.{k}", v).strip() for k, v in file.headers.items()}
    expand.mask(*headers.values())
    for name, value in headers.items():
        if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) or not re.fullmatch(r"[ -~]*", value):
            raise UsageError(f"argocd.headers.{name}: name or value cannot be sent as an HTTP header")
    return headers


def host_and_root(server: str) -> tuple[str, str]:
    """HOST or HOST:PORT, and the path below which Argo CD is served. Raises UsageError."""
    host, _, root = without_scheme(server).partition("/")
    if not host or re.search(r"[\s@?#]", host):
        raise UsageError(f"'{server}' is not an Argo CD server", "write HOST or HOST:PORT")
    port = re.search(r":([^:\]]*)$", host)
    if port and not (re.fullmatch("[0-9]{1,5}", port[1]) and 0 < int(port[1]) < 65536):
        raise UsageError(f"'{server}' does not have a valid port", "write HOST or HOST:PORT")
    return host, root


def client_certificate(file: ArgoCDFile, stored: CliSettings, folder: Path) -> dict[str, Any]:
    """The client certificate: argorun.yaml's files, else the argocd CLI's."""
    ours = bool(file.client_cert or file.client_key)
    keys = ("argocd.client_cert", "argocd.client_key") if ours else CLI_CERTIFICATE
    whose = "" if ours else " (in the argocd CLI's settings)"
    cert, key = (file.client_cert, file.client_key) if ours else (stored.client_cert, stored.client_key)
    if bool(cert) != bool(key):
        raise UsageError(f"{' and '.join(keys)} go together{whose}", "give both or neither")
    return {
        "client_cert": existing_file(folder, cert or None, f"{keys[0]}{whose}"),
        "client_key": existing_file(folder, key or None, f"{keys[1]}{whose}"),
        "client_pem": stored.client_pem if not cert else None,
    }


def without_scheme(server: str) -> str:
    """A server without the scheme and a slash at its end."""
    return re.sub(r"^https?://", "", server.strip(), flags=re.IGNORECASE).rstrip("/")


def existing_file(folder: Path, name: str | None, key: str) -> Path | None:
    """The path of a file. Raises UsageError, which names the key, where there is none."""
    if name is None:
        return None
    try:
        path = folder / Path(name).expanduser()
        if path.is_file():
            return path
    except (OSError, RuntimeError):  # may not be looked at; ~NAME without such a user
        path = folder / name
    raise UsageError(f"{key}: there is no file {path}")


def application(flags: Flags, file: File, where: str) -> ApplicationRef:
    """The Application to run, by its name or as `NAMESPACE/NAME`."""
    named = flags.application or file.application
    if not named:
        raise UsageError(
            "no Application to run", "name it: argorun run APPLICATION, or application: in argorun.yaml"
        )
    if isinstance(named, ApplicationRef):
        ref = named
    else:
        namespace, _, name = named.rpartition("/")
        ref = ApplicationRef(name=name, namespace=namespace or None)
    for part in (ref.name, ref.namespace):
        if part is not None and not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", part):
            raise UsageError(f"{where}: '{part}' is not a valid name of an Application")
    return ref


def topics(flags: Flags, file: File, where: str) -> tuple[Topic, ...]:
    """The run's topics; --topic and --parameter give the only one, or change the file's only one."""
    written = list(file.topics)
    if flags.topic is not None or flags.parameter is not None:
        if len(written) > 1:
            raise UsageError(
                f"--topic and --parameter change one topic, and {where} has {len(written)}",
                "leave them out, or use a file with one topic",
            )
        if not written and (flags.topic is None or flags.parameter is None):
            raise UsageError("--topic PREFIX and --parameter NAME go together without an argorun.yaml")
        base = written[0] if written else TopicFile(prefix="", parameter="")
        written = [
            msgspec.structs.replace(
                base,
                prefix=base.prefix if flags.topic is None else flags.topic,
                parameter=base.parameter if flags.parameter is None else flags.parameter,
            )
        ]
    if not written:
        raise UsageError(
            "no topic is configured",
            "give topics: [{prefix:, parameter:}] in argorun.yaml, or --topic PREFIX --parameter NAME",
        )
    result = tuple(topic(t, f"{where}: topics[{i}]") for i, t in enumerate(written))
    places = [str(p) for t in result for p in t.parameters]
    for place in places:
        if places.count(place) > 1:
            raise UsageError(f"{where}: two topics set the same parameter ({place})")
    return result


def topic(written: TopicFile, where: str) -> Topic:
    """One topic, checked; `where` begins the message of an error."""
    if problem := names.check_prefix(written.prefix):
        raise UsageError(f"{where}: prefix '{written.prefix}': {problem}")
    for key, value in (
        ("partitions", written.partitions),
        ("replication_factor", written.replication_factor),
    ):
        if value != -1 and not 1 <= value < 2**15:
            raise UsageError(f"{where}: {key} is {value}", "give 1 to 32767, or -1 for the broker's default")
    listed = written.parameter if isinstance(written.parameter, list) else [written.parameter]
    parameters = tuple(Parameter(helm=p) if isinstance(p, str) else p for p in listed)
    if not parameters:
        raise UsageError(
            f"{where}: parameter is empty", "name the Helm parameter that takes the topic's name"
        )
    for p in parameters:
        if len(p.given) != 1 or p.place == "":
            raise UsageError(
                f"{where}: a parameter is either {' or '.join(PARAMETER_FORMS)}",
                f"write {' or '.join(PARAMETER_FORMS.values())}",
            )
    return Topic(
        prefix=written.prefix,
        parameters=parameters,
        partitions=written.partitions,
        replication_factor=written.replication_factor,
        config={k: scalar(v) for k, v in written.config.items()},
        groups=written.groups,
        unverified=written.unverified,
    )


def timeouts(flags: Flags, file: File, where: str) -> Timeouts:
    """The limits in seconds; --timeout wins over `timeouts.run`."""
    given: dict[str, tuple[str, str | int | None]] = {
        name: (f"{where}: timeouts.{name}", getattr(file.timeouts, name))
        for name in ("run", "busy", "cleanup", "stuck")
    }
    if flags.timeout is not None:
        given["run"] = ("--timeout", flags.timeout)
    # Only `stuck` may be off.
    return Timeouts(
        **{
            name: duration(v, key, least=0 if name == "stuck" else 1)
            for name, (key, v) in given.items()
            if v is not None
        }
    )


def duration(value: str | int, key: str, *, least: float = 1) -> float:
    """Seconds of `90`, `90s`, `15m`, `1h30m`. Raises UsageError, which names `key`, below `least` as well."""
    number = r"([0-9]{1,9})"
    match = re.fullmatch(rf"(?:{number}h)?(?:{number}m)?(?:{number}s?)?", str(value).strip())
    seconds = (
        sum(int(n or 0) * unit for n, unit in zip(match.groups(), (3600, 60, 1), strict=True))
        if match and match[0]
        else -1
    )
    if seconds < least:
        raise UsageError(f"{key}: '{value}' is not a duration", "write it like 90, 90s, 15m or 1h30m")
    return float(seconds)


def assignments(flags: Flags, taken: set[str]) -> tuple[Assignment, ...]:
    """The parameters of --set and --set-string; each once, and none that takes a topic's name (`taken`)."""
    made: dict[str, Assignment] = {}
    given = [("--set", False, t) for t in flags.sets] + [("--set-string", True, t) for t in flags.set_strings]
    for flag, string, text in given:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise UsageError(f"{flag} {text}: expected NAME=VALUE")
        if name in taken or name in made:
            why = "takes the topic's name" if name in taken else "is set twice"
            raise UsageError(f"{flag} {name}: the parameter {why}")
        if any(0xD800 <= ord(c) < 0xE000 for c in text):  # bytes that Python could not decode
            raise UsageError(f"{flag} {name!a}: the text is not UTF-8")
        made[name] = Assignment(name=name, value=value, string=string)
    return tuple(made.values())
