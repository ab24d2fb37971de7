"""HTTP of consents: what one agrees to. Takes the dependencies `consents` and `principal`."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.accounts.consent import Code, Decision, Standing
from hub.accounts.consent_actions import Consents
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, Connection, answer, context_of
from hub.platform.text import Language
from hub.security.token import Principal


class ConsentGiven(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    purpose: Code
    version: Annotated[str, Meta(max_length=20)]


class DecisionView(msgspec.Struct, frozen=True, rename="camel"):
    """One giving, until it was withdrawn or given anew for a newer version; `givenAt` is null for a refusal from the start."""

    version: str
    given_at: str | None
    ended_at: str | None
    by: Literal["self", "booking"]


class ConsentView(msgspec.Struct, frozen=True, rename="camel"):
    """`version` is the text of today; `givenVersion` the one agreed to, null if none is."""

    purpose: Code
    title: str
    version: str
    given: bool
    given_version: str | None
    history: Sequence[DecisionView]


@get("/users/me/consents", responses=FAILURES)
async def list_consents(
    request: Connection, principal: NamedDependency[Principal], consents: NamedDependency[Consents]
) -> Answer[list[ConsentView]]:
    """Every purpose, whether one agrees, and what one decided before, the newest first."""
    language = context_of(request.scope).language
    return answer([_view(standing, language) for standing in await consents.list(principal)])


@post("/users/me/consents", status_code=200, responses=FAILURES)
async def give_consent(
    data: JSONBody[ConsentGiven],
    request: Connection,
    principal: NamedDependency[Principal],
    consents: NamedDependency[Consents],
) -> Answer[ConsentView]:
    """Agree to a purpose, in the version of today."""
    given = await consents.give(principal, data.purpose, data.version)
    return answer(_view(given, context_of(request.scope).language))


@delete("/users/me/consents/{purpose:str}", status_code=200, responses=FAILURES)
async def withdraw_consent(
    purpose: FromPath[str],
    request: Connection,
    principal: NamedDependency[Principal],
    consents: NamedDependency[Consents],
) -> Answer[ConsentView]:
    """Take it back; holds from this moment on."""
    withdrawn = await consents.withdraw(principal, purpose)
    return answer(_view(withdrawn, context_of(request.scope).language))


handlers: list[ControllerRouterHandler] = [list_consents, give_consent, withdraw_consent]


def _view(standing: Standing, language: Language) -> ConsentView:
    purpose, held = standing.purpose, standing.held
    return ConsentView(
        purpose=purpose.code,
        title=purpose.title_zh if language == "zh" else purpose.title_en,
        version=purpose.version,
        given=held is not None,
        given_version=held.version if held else None,
        history=[_decision(each) for each in standing.history],
    )


def _decision(decision: Decision) -> DecisionView:
    return DecisionView(
        version=decision.version,
        given_at=rfc3339(decision.given_at) if decision.given_at else None,
        ended_at=rfc3339(decision.withdrawn_at) if decision.withdrawn_at else None,
        by="booking" if decision.implied else "self",
    )
