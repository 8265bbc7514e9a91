"""Every reporter gets every event without secrets, and none can break the run."""

from __future__ import annotations

import base64
import dataclasses
import enum
import errno
import html
import json
import re
import shlex
import timeit
import typing
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from argorun.argocd.rest_client import as_go_writes_it
from argorun.events import Event, LeftBehind, LogLines, Notice, ParameterSet
from argorun.redact.event_text import TEXT_FIELDS
from argorun.redact.redactor import MASK, SHORTEST, Redactor
from argorun.reporters.dispatcher import Dispatcher
from argorun.reporters.json_lines import encode
from argorun.reporters.reporter import Buffered, Reporter


class Keeps(Reporter, Buffered):
    """Keeps the events, and counts the other calls."""

    name = "events"

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.flushed = self.closed = 0

    def report(self, event: Event) -> None:
        self.events.append(event)

    def flush(self) -> None:
        self.flushed += 1

    def close(self) -> None:
        self.closed += 1


class Raises(Keeps):
    name = "broken output"

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def report(self, event: Event) -> None:
        raise self.error


def shown(event: Event, *secrets: str) -> Event:
    keeps = Keeps()
    Dispatcher([keeps], secrets)(event)
    return keeps.events[0]


def notice(text: str) -> Notice:
    return Notice(time=1.0, level="info", text=text)


def test_every_reporter_gets_every_event_in_order(green: list[Event]) -> None:
    first, second = Keeps(), Keeps()
    dispatch = Dispatcher([first, second], ["s3cret"])
    for event in green:
        dispatch(event)
    dispatch.flush()
    dispatch.close()
    dispatch.close()
    assert first.events == second.events == green
    assert (first.flushed, first.closed, dispatch.failures) == (1, 1, [])


@pytest.mark.parametrize(
    ("error", "failures"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), ["broken output: No space left on device"]),
        (KeyError("s3cret"), ["broken output: KeyError: '***' (a bug in argorun)"]),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), []),
    ],
)
def test_a_reporter_that_fails_is_dropped_and_the_others_go_on(error: Exception, failures: list[str]) -> None:
    raises, keeps = Raises(error), Keeps()
    dispatch = Dispatcher([raises, keeps], ["s3cret"])
    dispatch(notice("1"))
    dispatch(notice("2"))
    dispatch.flush()
    dispatch.close()
    assert keeps.events == [notice("1"), notice("2")]
    assert (dispatch.failures, raises.flushed, raises.closed) == (failures, 0, 1)


def test_a_failure_to_flush_or_to_close_is_kept_too() -> None:
    class Late(Keeps):
        name = "late"

        def close(self) -> None:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    class Flush(Keeps):
        name = "flush"

        def flush(self) -> None:
            raise OSError(errno.EIO, "Input/output error")

    dispatch = Dispatcher([Late(), Flush()])
    dispatch.flush()
    dispatch.close()
    assert dispatch.failures == ["flush: Input/output error", "late: Disk quota exceeded"]


def test_a_ctrl_c_is_not_swallowed() -> None:
    class Interrupted(Keeps):
        def report(self, event: Event) -> None:
            raise KeyboardInterrupt

    dispatch = Dispatcher([Interrupted()])
    with pytest.raises(KeyboardInterrupt):
        dispatch(notice(""))


SECRETS = st.text(st.characters(categories=["L", "N"], max_codepoint=0x2FF), min_size=SHORTEST)


@given(st.lists(SECRETS, min_size=1, max_size=4), st.lists(st.text("ab "), max_size=4), st.data())
def test_no_secret_is_left_however_secrets_overlap(
    secrets: list[str], others: list[str], data: st.DataObject
) -> None:
    text = "".join(data.draw(st.permutations([*secrets, *others])))
    result = shown(notice(text), *secrets)
    assert isinstance(result, Notice)
    assert [secret for secret in secrets if secret in result.text] == []


@pytest.mark.parametrize(
    "text",
    [
        "p/ss+w rd&1",
        quote("p/ss+w rd&1"),
        quote("p/ss+w rd&1", safe=""),
        "p%2Fss%2Bw+rd%261",
        base64.b64encode(b"p/ss+w rd&1").decode(),
        base64.b64encode(b"p/ss+w rd&1").decode().rstrip("="),
        "p/ss\x1b[31m+w\x1b[0m rd&1",  # what grep --color makes of it
    ],
)
def test_a_secret_is_masked_in_every_disguise(text: str) -> None:
    assert shown(notice(f"<{text}>"), "p/ss+w rd&1") == notice("<***>")


WRITERS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "by Python": repr,
    "by Python, as bytes": lambda s: repr(s.encode()),
    "as JSON": json.dumps,
    "as JSON in UTF-8": lambda s: json.dumps(s, ensure_ascii=False),
    "as JSON in JSON": lambda s: json.dumps({"a": json.dumps({"b": s})}),
    "as JSON on a command line": lambda s: shlex.quote(json.dumps({"a": json.dumps([s])})),
    "by Go": lambda s: as_go_writes_it([{"value": s}]),
    "on a web page": html.escape,
    "on a command line": shlex.quote,
    "in a URL": lambda s: quote(s, safe=""),
    "in a form": quote_plus,
    "in a URL, in small letters": lambda s: re.sub("%..", lambda c: c[0].lower(), quote(s)),
    "in base64": lambda s: base64.b64encode(s.encode()).decode(),
    "in lines of base64": lambda s: base64.encodebytes(s.encode()).decode(),
}
# A token or password has no control character: an HTTP header could not carry it.
ANY_SECRET = st.text(
    st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=SHORTEST, max_size=90
).filter(lambda s: len(s.strip()) >= SHORTEST)


@pytest.mark.parametrize("writer", WRITERS)
@given(ANY_SECRET, st.text("ab:{ "), st.text("yz,} "))
def test_a_secret_is_masked_however_it_is_written(writer: str, secret: str, before: str, after: str) -> None:
    write = WRITERS[writer]
    assume(secret not in write(""))  # one like the writer's own "value" would hide that, too
    masked = Redactor([secret]).text(f"{before}{write(secret)}{after}")
    # Nothing but what the writer puts around a text; which quotes, it chooses by the text.
    kept = masked.replace(MASK, "").removeprefix(before).removesuffix(after)
    if "lines" in writer:  # the last may be too short to be known
        assert len(kept.strip()) < 8
    else:
        assert re.sub("['\"]", "", kept) == re.sub("['\"]", "", write(""))


@pytest.mark.parametrize("header", ["Bearer hunter-2", "token hunter-2", "Basic dXNlcjpodW50ZXItMg=="])
def test_of_an_authorization_header_its_credentials_are_secret_too(header: str) -> None:
    redactor = Redactor([header])
    assert redactor.text(f"{header}; hunter-2; Bearer user Basic") == "***; ***; Bearer user Basic"


def test_a_secret_that_is_added_later_is_masked_from_then_on() -> None:
    redactor = Redactor(["first"])
    assert redactor.text("first second") == "*** second"
    redactor.mask("second", "")
    assert redactor.text("first second") == "*** ***"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a pass ab 12", "*** pass *** ***"),
        ('value "ab" for a=12', 'value "***" for ***=***'),
        ("abc cab a_b 123 ab_ ä12", "abc cab a_b 123 ab_ ä12"),
    ],
)
def test_a_secret_of_three_characters_or_less_is_masked_only_where_it_stands_by_itself(
    text: str, masked: str
) -> None:
    assert Redactor(["a", "ab", "12"]).text(text) == masked


@pytest.mark.parametrize("user", ["u", "us", "use", "user"])
def test_a_password_is_masked_inside_a_basic_auth_header(user: str) -> None:
    header = base64.b64encode(f"{user}:correct horse battery".encode()).decode()
    result = shown(notice(header), "correct horse battery")
    assert isinstance(result, Notice)
    kept = result.text.replace("***", "")
    assert (result.text.count("***"), len(kept) < 12) == (1, True)


def test_a_key_is_masked_also_when_it_is_logged_line_by_line() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END PRIVATE KEY-----\n"
    assert shown(notice("key: MIIEvQIBADANBgkqhkiG9w0"), key) == notice("key: ***")


def test_an_empty_secret_masks_nothing() -> None:
    assert shown(notice("a b"), "", " ", "\n") == notice("a b")


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    assert shown(notice("token-of-admin"), "token", "token-of-admin") == notice("***")


def without_text(hint: typing.Any, name: str) -> typing.Any:
    """A value of a type that can hold no text of others; the keys of a dict are argorun's own words."""
    if typing.get_origin(hint) is dict:
        assert typing.get_args(hint) in ((str, int), (str, float)), name
        return {"own": 1}
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)[0]
    if typing.get_origin(hint) is tuple:
        return (without_text(typing.get_args(hint)[0], name),)
    if typing.get_args(hint):
        return without_text(typing.get_args(hint)[0], name)
    assert hint in (int, float, bool) or issubclass(hint, enum.Enum), name
    return 1 if hint in (int, float, bool) else next(iter(hint))


@pytest.mark.parametrize("kind", typing.get_args(Event))
def test_no_field_of_any_event_can_hold_a_secret(kind: type[typing.Any]) -> None:
    secret = "correct-horse"
    hints = typing.get_type_hints(kind)
    values: dict[str, typing.Any] = {}
    for name, hint in hints.items():
        if name in TEXT_FIELDS[kind]:
            values[name] = (f"a {secret}", secret) if hint == tuple[str, ...] else f"a {secret}"
        else:
            # Numbers and enumerations: anything else would be a new kind of field that is not redacted.
            values[name] = without_text(hint, name)
    assert secret.encode() not in encode(shown(kind(**values), secret))


def test_a_parameter_without_an_original_stays_without() -> None:
    event = ParameterSet(time=1.0, place="helm: s3cret", value="v", original=None)
    assert shown(event, "s3cret") == dataclasses.replace(event, place="helm: ***")


def test_looking_for_secrets_in_a_line_costs_about_as_much_as_writing_it(line: LogLines) -> None:
    """Side by side on the same machine: 200,000 lines must not wait for the redaction."""
    dispatch = Dispatcher([], [f"secret-number-{n}" for n in range(5)])
    looked = min(timeit.repeat(lambda: dispatch(line), number=2000, repeat=5))
    encoded = min(timeit.repeat(lambda: encode(line), number=2000, repeat=5))
    assert looked < 30 * encoded


def test_a_command_with_a_secret_in_it_says_that_it_must_be_filled_in() -> None:
    left = LeftBehind(time=1.0, what="topic t", why="s3cret lost", command="kafka-topics --bootstrap s3cret")
    masked = dataclasses.replace(
        left,
        why="*** lost (in the command, replace *** with the secret)",
        command="kafka-topics --bootstrap ***",
    )
    assert shown(left, "s3cret") == masked
    plain = dataclasses.replace(left, command="kafka-topics")
    assert shown(plain, "s3cret") == dataclasses.replace(plain, why="*** lost")


def test_what_the_run_finds_to_be_secret_is_masked_from_then_on() -> None:
    keeps = Keeps()
    dispatch = Dispatcher([keeps])
    dispatch.mask("s3cret")
    dispatch(notice("s3cret"))
    assert keeps.events == [notice("***")]
