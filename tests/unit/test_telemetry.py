"""What is logged is one line, has no values of rows, and no number or token of a person."""

import io
import json
import logging
from collections.abc import Iterator

import prometheus_client
import pytest
import structlog
from prometheus_client import Counter

from hub.platform import telemetry
from hub.platform.settings import BadSettings, Log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Logging goes here for one test, and back where it went before."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configured = structlog.get_config()
    taken = io.StringIO()
    yield taken
    root.handlers[:], level = before
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.configure(**configured)


def test_line_is_one_json_object_when_the_format_is_json(stream: io.StringIO) -> None:
    """Machines read one object a line, with level, logger, time and what was bound."""
    telemetry.configure_logging(Log(format="json"), stream)
    structlog.contextvars.bind_contextvars(request_id="req_1")
    try:
        structlog.get_logger("hub.test").info("entry stored", seq=7)
    finally:
        structlog.contextvars.clear_contextvars()
    line = json.loads(stream.getvalue())

    assert {**line, "timestamp": ""} == {
        "event": "entry stored",
        "level": "info",
        "logger": "hub.test",
        "request_id": "req_1",
        "seq": 7,
        "timestamp": "",
    }


@pytest.mark.parametrize("form", ["console", "json"])
def test_error_is_one_line_without_row_values_when_logged(stream: io.StringIO, form: str) -> None:
    """P13: the details of a database error name values; only its first line and the places are kept."""
    telemetry.configure_logging(Log(format=form), stream)
    try:
        raise ValueError("duplicate key\nDETAIL: Key (name)=(张三)")
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("a.library").exception("failed too")

    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all("duplicate key" in line and "test_telemetry.py" in line for line in lines)
    assert "张三" not in stream.getvalue()


def test_phone_numbers_and_tokens_are_masked_when_somebody_logs_them(stream: io.StringIO) -> None:
    """P13: the last fence behind the rule that nobody logs them."""
    telemetry.configure_logging(Log(), stream)
    structlog.get_logger().info("code for 13800138000", header="Bearer eyJhbGciOi.eyJzdWIi.c2ln")
    logging.getLogger("a.library").warning("to %s", "13800138000")

    assert "13800138000" not in stream.getvalue()
    assert stream.getvalue().count("138****8000") == 2
    assert "c2ln" not in stream.getvalue()


def test_nothing_below_the_level_is_printed_when_a_level_is_set(stream: io.StringIO) -> None:
    """Libraries that talk at info are silent until something is wrong."""
    telemetry.configure_logging(Log(level="warning"), stream)
    structlog.get_logger().info("usual")
    logging.getLogger("apscheduler.executors").info("usual")

    assert stream.getvalue() == ""


@pytest.mark.parametrize("chosen", [Log(level="loud"), Log(format="xml")])
def test_start_is_refused_when_the_level_or_format_is_unknown(chosen: Log) -> None:
    """A bad setting names itself."""
    with pytest.raises(BadSettings, match=r"loud|xml"):
        telemetry.configure_logging(chosen)


def test_metrics_are_exposed_when_declared_on_the_registry() -> None:
    """One registry for the process; it also tells about the process."""
    counter = Counter("test_things", "Things.", registry=prometheus_client.REGISTRY)
    try:
        counter.inc()
        body, content_type = telemetry.exposition()
    finally:
        prometheus_client.REGISTRY.unregister(counter)

    assert b"test_things_total 1.0" in body
    assert b"process_resident_memory_bytes" in body
    assert content_type.startswith("text/plain")
