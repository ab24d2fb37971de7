"""The served OpenAPI is true: whatever fits it, or nearly, is answered as it says, and never with a server error."""

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.failures import Failure
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hub.demo import seed
from hub.platform import settings
from hub.security import token
from hub.security.keyring import create_key_file, load_keyring
from tests.hub_process import hub_processes

EXAMPLES = int(os.environ.get("HUB_FUZZ_EXAMPLES", "5"))  # of each operation, fitting and not fitting
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ENDLESS = {"/api/v1/events"}  # a stream has no answer to look at
# Without WeChat Pay in the settings a notification is put off, not refused: it may tell of real money.
PUT_OFF = {"/api/v1/payments/wechat/notify"}
ANY_TEXT: list[object] = [{"type": "string"}, {"type": "string", "default": "me"}]


@dataclass(frozen=True)
class Target:
    """A seeded server, and tokens of people of all roles in turn: the limit of a single person is soon reached."""

    url: str
    tokens: Iterator[str]


@pytest_asyncio.fixture(scope="module")
async def target(database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    folder: Path = tmp_path_factory.mktemp("hub")
    environment = {
        "HUB__DATA__DIR": str(folder),
        "HUB__DATABASE__URL": database_url,
        "HUB__REDIS__URL": redis_url,
        "HUB__REDIS__PREFIX": folder.name,
    }
    create_key_file(folder / "keys.json")
    await seed(settings.load(None, environment))
    async with hub_processes(1, folder, environment) as servers:
        await servers[0].until("/readyz")
        yield Target(servers[0].url, itertools.cycle(await tokens_of_all(database_url, folder)))


async def tokens_of_all(database_url: str, folder: Path) -> list[str]:
    """A signed-in session of everybody, the roles in turn, so that few examples meet all of them."""
    keys = load_keyring(settings.Settings(data=settings.Data(dir=str(folder))))
    key, now = keys.derive(token.PURPOSE), datetime.now(UTC)
    connection = await asyncpg.connect(database_url)
    people = await connection.fetch(
        "INSERT INTO sessions (id, user_id, created_at, last_seen_at, expires_at) "
        "SELECT gen_random_uuid(), u.id, now(), now(), now() + interval '1 hour' "
        "FROM (SELECT id, row_number() OVER (PARTITION BY role ORDER BY phone) AS place FROM users) u "
        "WHERE u.place <= 20 ORDER BY u.place RETURNING id::text AS session, user_id::text AS user, "
        "(SELECT role FROM users WHERE id = user_id) AS role"
    )
    await connection.close()
    return [
        token.issue(key, user=row["user"], session=row["session"], role=row["role"], now=now, life_s=3600)
        for row in people
    ]


def may_be_wrong(operation: APIOperation) -> bool:
    """Any text fits most paths: where nothing else is asked for, 459 examples would be made in vain."""
    paths = [each for each in operation.path_parameters if each.definition["schema"] not in ANY_TEXT]
    return bool([*paths, *operation.body, *operation.query, *operation.headers, *operation.cookies])


def faults_of(operation: APIOperation, mode: GenerationMode, target: Target) -> list[str]:
    """What is wrong with the answers to this operation, each fault once."""
    found: dict[str, None] = {}

    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def probe(case: Case) -> None:
        response = case.call(base_url=target.url, headers={"Authorization": f"Bearer {next(target.tokens)}"})
        put_off = operation.path in PUT_OFF and response.status_code == 503
        try:
            case.validate_response(
                response, checks=[each for each in CHECKS if not put_off or each != not_a_server_error]
            )
        except* Failure as failures:
            for failure in failures.exceptions:
                found[f"{operation.label} {response.status_code}: {failure}\n  {case.as_curl_command()}"] = None

    probe()
    return list(found)


@pytest.mark.timeout(600)
async def test_answers_are_as_documented(target: Target) -> None:
    """Every operation, with data that fits its schema and with data that does not."""
    schema = schemathesis.openapi.from_url(f"{target.url}/schema/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    faults = [
        fault
        for operation in operations
        if operation.path not in ENDLESS
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        if mode is GenerationMode.POSITIVE or may_be_wrong(operation)
        for fault in faults_of(operation, mode, target)
    ]

    assert len(operations) > 20
    assert not faults, "\n".join(faults)
