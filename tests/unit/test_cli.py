"""What a person can put right is one line; a bug keeps its traceback."""

import pytest
from click.testing import CliRunner

from hub.cli import cli, explain
from hub.platform.embedded import NotRunning, ServerFailed
from hub.platform.settings import BadSettings, Server
from hub.up import address


@pytest.mark.parametrize("kind", [BadSettings, NotRunning, ServerFailed])
def test_line_is_the_error_itself_when_it_was_written_for_a_person(kind: type[Exception]) -> None:
    """These errors name what is wrong and what to do."""
    assert explain(kind("port 8000 is taken")) == "port 8000 is taken"


def test_line_names_the_package_when_one_is_missing() -> None:
    """A missing dependency is not a traceback; a missing module of our own is a bug."""
    assert "package uvloop is missing" in (explain(ModuleNotFoundError("no", name="uvloop")) or "")
    assert explain(ModuleNotFoundError("no", name="hub.nothing")) is None


def test_line_points_to_the_doctor_when_a_server_is_away() -> None:
    """A refused connection says where to look."""
    assert "./dev hub doctor" in (explain(ConnectionRefusedError("refused")) or "")


def test_no_line_when_it_is_a_bug() -> None:
    """Bugs show where they are."""
    assert explain(KeyError("x")) is None


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (Server(), "http://127.0.0.1:8000"),
        (Server(host="0.0.0.0", port=80), "http://127.0.0.1:80"),  # noqa: S104
        (Server(host="::", port=80), "http://[::1]:80"),
        (Server(host="hub.example", port=443), "http://hub.example:443"),
    ],
)
def test_address_is_one_a_client_can_use(server: Server, url: str) -> None:
    """Listening everywhere is not an address to connect to."""
    assert address(server) == url


def test_every_command_explains_itself() -> None:
    """`--help` of each command works without a database."""
    for name in (
        "up",
        "serve",
        "work",
        "schedule",
        "migrate",
        "seed",
        "demo",
        "doctor",
        "import",
        "keys",
        "audit",
        "notices",
        "broadcast",
        "due",
        "chat",
    ):
        result = CliRunner().invoke(cli, [name, "--help"])

        assert result.exit_code == 0, result.output
