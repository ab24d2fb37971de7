"""The core's areas put together: what each stands on, what Litestar hands to the handlers, and who reacts to which event."""

from collections.abc import Mapping
from dataclasses import dataclass

from litestar.types import ControllerRouterHandler

from hub.accounts.access import Access
from hub.messaging.actions import Messaging
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.hot_read import HotReads
from hub.platform.outbox import Outbox
from hub.platform.settings import Settings
from hub.security.audit import Audit
from hub.security.keyring import Keyring
from hub.security.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Ground:
    """What every area of the core stands on."""

    settings: Settings
    database: Database
    keyring: Keyring
    sealer: Sealer
    clock: Clock
    hot_reads: HotReads
    outbox: Outbox
    messaging: Messaging
    access: Access
    audit: Audit


# Every HTTP handler of the core; each area's `api` lists its own.
handlers: list[ControllerRouterHandler] = []


def build_core(ground: Ground) -> Mapping[str, object]:
    """Dependency name → the part that handlers get under it. Also subscribes the reactions to events."""
    return {}
