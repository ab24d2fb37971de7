"""The AsyncAPI document is complete and hangs together; it is generated, so it cannot drift from the frames."""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest

from hub.platform.error import RULES
from hub.realtime.asyncapi import ANSWERS, document
from hub.realtime.protocol import schema_types

REQUESTS, FACTS = ({frame.__name__ for frame in get_args(union)} for union in schema_types())


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return document("https://hub.example")


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(ref := node.get("$ref"), str):
            yield ref
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(api: dict[str, Any], ref: str) -> Any:
    node: Any = api
    for part in ref.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_every_reference_resolves(api: dict[str, Any]) -> None:
    """A reader can follow every `$ref` within the document."""
    found = set(references(api))

    assert found
    for ref in found:
        assert resolve(api, ref)


def test_every_frame_is_a_message_with_a_schema_and_an_operation(api: dict[str, Any]) -> None:
    """Nothing of either union is left out, and each is named as it is on the wire."""
    operations, messages = api["operations"], api["components"]["messages"]

    assert operations.keys() == messages.keys() == REQUESTS | FACTS
    for name, message in messages.items():
        schema = resolve(api, message["payload"]["$ref"])
        assert schema["properties"]["op"] == {"enum": [message["name"]]}
        assert "op" in schema["required"]
        assert message["summary"], name
        assert operations[name]["summary"] == message["summary"]


def test_direction_is_the_servers(api: dict[str, Any]) -> None:
    """The document describes the hub: it receives requests and sends facts."""
    actions = {name: operation["action"] for name, operation in api["operations"].items()}

    assert actions == dict.fromkeys(REQUESTS, "receive") | dict.fromkeys(FACTS, "send")


def test_every_request_with_a_ref_names_its_answer(api: dict[str, Any]) -> None:
    """What carries a ref is answered, by one fact or by `failed`."""
    with_ref = {f.__name__ for f in get_args(schema_types()[0]) if "ref" in f.__struct_fields__}

    assert ANSWERS.keys() == with_ref
    for name, answer in ANSWERS.items():
        refs = [resolve(api, message["$ref"]) for message in api["operations"][name]["reply"]["messages"]]
        assert refs == [api["channels"]["wire"]["messages"][of] for of in (answer, "Failed")]


def test_errors_and_close_codes_are_those_of_the_table(api: dict[str, Any]) -> None:
    """One table rules HTTP, close codes and the document."""
    assert api["x-errors"].keys() == {code.value for code in RULES}
    assert {int(code) for code in api["x-close-codes"]} == {rule.close for rule in RULES.values() if rule.close}
    assert [code for code, told in api["x-close-codes"].items() if not told["comeBack"]] == ["4509"]


def test_servers_follow_the_public_address() -> None:
    """Behind TLS it is wss, and a path prefix stays."""
    assert document("https://hub.example")["servers"]["hub"]["protocol"] == "wss"
    assert document("wss://hub.example")["servers"]["hub"]["protocol"] == "wss"
    plain = document("http://127.0.0.1:8000/hub/")
    assert plain["servers"]["hub"]["host"] == "127.0.0.1:8000"
    assert plain["channels"]["wire"]["address"] == "/hub/ws/v1"


def test_document_is_plain_json(api: dict[str, Any]) -> None:
    """It can be served as it is, and no schema uses words that its dialect does not know."""
    text = msgspec.json.encode(api)

    assert msgspec.json.decode(text) == api
    assert b"prefixItems" not in text
