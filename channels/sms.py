"""Which SMS providers there are, and opening those that are chosen, in the order in which they are to be asked."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from channels.port import Channel
from channels.sms_aliyun import AliyunSms
from channels.sms_tencent import TencentSms
from channels.transport import Transport, open_transport
from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.settings import BadSettings

Build = Callable[[settings.Sms, Transport, Clock], Channel]

# How each is built, and the settings without which it cannot send.
PROVIDERS: dict[str, tuple[Build, tuple[str, ...]]] = {
    "aliyun": (AliyunSms, ("sign_name", "aliyun_key_id", "aliyun_key_secret")),
    "tencent": (TencentSms, ("sign_name", "tencent_secret_id", "tencent_secret_key", "tencent_app_id")),
}


@asynccontextmanager
async def open_sms(chosen: settings.Sms, clock: Clock) -> AsyncIterator[list[Channel]]:
    """The providers of `sms.providers`, or none. Raises `BadSettings` for an unknown one or one without credentials.

    The next one may be asked only when the one before has certainly not taken the message: an `unknown` ends the asking.
    """
    names = list(dict.fromkeys(chosen.providers.split()))
    for name in names:
        _check(chosen, name)
    if not names:
        yield []
        return
    async with open_transport(chosen.timeout_s) as transport:
        yield [PROVIDERS[name][0](chosen, transport, clock) for name in names]


def _check(chosen: settings.Sms, name: str) -> None:
    if name not in PROVIDERS:
        raise BadSettings(f"sms.providers: there is no provider named {name}; known: {', '.join(PROVIDERS)}")
    for key in PROVIDERS[name][1]:
        if not getattr(chosen, key):
            raise BadSettings(f"sms.{key}: needed because sms.providers names {name}")
