"""A database with the demo, and the core over it."""

import base64

from hub.demo.cast import id_of, phone_of, places
from hub.platform import settings
from hub.platform.settings import Settings
from tests.integration.core_app import KEYRING, Caller, CoreHub


def settings_of(database_url: str) -> Settings:
    """The demo sealed with the keys that the core of the tests has."""
    master = base64.b64encode(KEYRING.master_keys["k"]).decode()
    keys = settings.Security(master_keys=f"k:{master}", signing_key=base64.b64encode(KEYRING.signing_key).decode())
    return Settings(database=settings.Database(url=database_url), security=keys)


def caller(hub: CoreHub, place: str) -> Caller:
    """Somebody of the cast, signed in."""
    user, (role, _) = id_of("user", place), places()[place]
    return Caller(user, hub.token_of(user, role), phone_of(place))
