"""The one tree of settings: `config.toml`, then `HUB__SECTION__KEY`. A bad key stops the start and names itself."""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import msgspec.structs
from msgspec import Meta

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
ReminderMinutes = Annotated[int, Meta(ge=5, le=14 * 1440)]
Days = Annotated[int, Meta(ge=0, le=36500)]


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: Port = 8000
    processes: Count = 1
    drain_s: Seconds = 10.0
    max_connections: Count = 20000
    trusted_proxies: str = "127.0.0.1"


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dir: str = "data"


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str = ""
    pool_size: Count = 10
    log_pool_size: Count = 6
    append_pool_size: Count = 4
    timeout_s: Seconds = 10.0


class Redis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str = ""
    prefix: str = "hub"


class Security(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key_file: str = ""
    master_keys: str = ""
    signing_key: str = ""
    rotate_in_background: bool = False


class Accounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    access_token_s: Count = 7200
    refresh_token_s: Count = 2592000
    refresh_grace_s: Count = 30
    code_s: Count = 300
    code_attempts: Count = 5
    codes_per_phone_minute: Count = 3
    codes_per_phone_hour: Count = 6
    codes_per_address_hour: Count = 30
    relations_asked_per_day: Count = 10
    sms_sender: Literal["development", "sms"] = "development"
    sms_template: str = ""


class Wechat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    app_id: str = ""
    app_secret: str = ""
    base_url: str = "https://api.weixin.qq.com"
    timeout_s: Seconds = 5.0


class Realtime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max_frame_bytes: Count = 65536
    heartbeat_ms: Count = 25000
    silence_s: Seconds = 60.0
    hello_timeout_s: Seconds = 15.0
    outbox_bytes: Count = 1048576
    outbox_soft_bytes: Count = 262144
    deflate: bool = False
    frames_per_s: Seconds = 50.0
    frames_burst: Count = 200
    flood_strikes: Count = 100
    cursors: Count = 1000
    resume_page: Count = 100
    resume_limit: Count = 500
    reads_at_once: Count = 4
    reads_waiting: Count = 20000
    sockets_per_user: Count = 20
    probe_s: Seconds = 2.0
    probe_late_s: Seconds = 6.0
    heal_s: Seconds = 2.0
    presence_s: Seconds = 45.0
    broker_buffer_bytes: Count = 8388608


class Messaging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    batch: Count = 256
    batches: Count = 2
    waiting: Count = 20000
    retry_s: Seconds = 5.0
    recall_s: Count = 120
    large_conversation: Count = 50
    members: Count = 2000
    text_chars: Count = 5000


class Attachments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    store: Literal["local", "s3"] = "local"
    max_bytes: Count = 20971520
    max_pixels: Count = 40000000
    thumbnail_px: Count = 320
    link_s: Count = 300
    orphan_s: Count = 86400
    s3_bucket: str = ""
    s3_region: str = "us-east-1"
    s3_endpoint: str = ""
    s3_access_key_id: str = ""
    s3_secret_access_key: str = ""


class Orders(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    unpaid_s: Count = 900
    booking_days: Count = 60
    refund_days: Count = 7
    read_only_days: Count = 7
    reminder_minutes: Annotated[list[ReminderMinutes], Meta(max_length=5)] = msgspec.field(
        default_factory=lambda: [1440, 120, 15]
    )


class Payments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mch_id: str = ""
    serial_no: str = ""
    private_key: str = ""
    api_v3_key: str = ""
    public_key: str = ""
    public_key_id: str = ""
    notify_url: str = ""
    base_url: str = "https://api.mch.weixin.qq.com"
    timeout_s: Seconds = 5.0


class Ai(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    base_url: str = ""
    model: str = ""
    api_key: str = ""
    timeout_s: Seconds = 15.0
    tries: Annotated[int, Meta(ge=1, le=4)] = 2
    answer_tokens: Count = 1500
    tokens_per_day: Count = 2_000_000
    breaker_failures: Count = 5
    breaker_pause_s: Seconds = 60.0


class Notices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    public_url: str = ""
    sweep_s: Seconds = 0.5
    shards: Annotated[int, Meta(ge=1, le=64)] = 4
    in_flight: Count = 256
    lease_s: Count = 40
    late_commit_s: Seconds = 15.0
    texts_per_day: Count = 5
    callback_window_s: Count = 300
    webhook_private: bool = False


class Webpush(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    private_key: str = ""
    subject: str = ""
    hosts: str = "fcm.googleapis.com *.push.services.mozilla.com *.push.apple.com *.notify.windows.com"
    per_s: Count = 1000
    timeout_s: Seconds = 8.0


class WechatMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str = ""
    aes_key: str = ""
    state: Literal["formal", "trial", "developer"] = "formal"
    long_term_templates: str = ""
    per_s: Count = 500
    timeout_s: Seconds = 8.0


class Wecom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    corp_id: str = ""
    corp_secret: str = ""
    agent_id: int = 0
    token: str = ""
    aes_key: str = ""
    base_url: str = "https://qyapi.weixin.qq.com"
    per_s: Count = 100
    timeout_s: Seconds = 8.0


class Sms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    providers: str = ""
    sign_name: str = ""
    per_s: Count = 200
    timeout_s: Seconds = 8.0
    aliyun_key_id: str = ""
    aliyun_key_secret: str = ""
    aliyun_base_url: str = "https://dysmsapi.aliyuncs.com"
    tencent_secret_id: str = ""
    tencent_secret_key: str = ""
    tencent_app_id: str = ""
    tencent_base_url: str = "https://sms.tencentcloudapi.com"
    callback_key: str = ""


class Email(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = ""
    port: Port = 465
    security: Literal["tls", "starttls", "none"] = "tls"
    user: str = ""
    password: str = ""
    sender: str = ""
    per_s: Count = 20
    timeout_s: Seconds = 10.0


class Worker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    jobs: Count = 200
    timeout_s: Count = 20
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 0


class Scheduler(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tick_s: Seconds = 5.0
    fire_s: Seconds = 0.5
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 0


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    notices_days: Days = 1095
    timers_days: Days = 90
    events_days: Days = 30
    callbacks_days: Days = 7
    webhook_log_days: Days = 30


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    server: Server = Server()
    data: Data = Data()
    database: Database = Database()
    redis: Redis = Redis()
    security: Security = Security()
    accounts: Accounts = Accounts()
    wechat: Wechat = Wechat()
    realtime: Realtime = Realtime()
    messaging: Messaging = Messaging()
    attachments: Attachments = Attachments()
    orders: Orders = Orders()
    payments: Payments = Payments()
    ai: Ai = Ai()
    notices: Notices = Notices()
    webpush: Webpush = Webpush()
    wechat_message: WechatMessage = WechatMessage()
    wecom: Wecom = Wecom()
    sms: Sms = Sms()
    email: Email = Email()
    worker: Worker = Worker()
    scheduler: Scheduler = Scheduler()
    retention: Retention = Retention()
    log: Log = Log()


class BadSettings(Exception):
    """The configuration cannot be used; the text names the key."""


def load(path: Path | None = None, environ: dict[str, str] | None = None) -> Settings:
    """Read the file (default: `$HUB_CONFIG`, else `config.toml` here, else beside the package) and the environment.

    Raises `BadSettings` for an unknown section or key, a wrong type, or a value out of range.
    """
    env = dict(os.environ) if environ is None else environ
    tree = _read(path or _default_path(env))
    for name, value in sorted(env.items()):
        if name.startswith("HUB__"):
            _override(tree, name, value)
    try:
        return _checked(msgspec.convert(tree, Settings, strict=True))
    except msgspec.ValidationError as error:
        at = re.search(r"\$\.(\w+)\.(\w+)", str(error))
        field = _field(at[1], at[2]) if at else None
        raise BadSettings(f"settings: {error}{_possible(field)}") from error


def _checked(chosen: Settings) -> Settings:
    """What no single type can say. Here, so that every command stops, and not one process of many again and again."""
    if chosen.sms.providers.strip() and chosen.accounts.sms_sender == "development":
        raise BadSettings("accounts.sms_sender: must be sms because sms.providers is set; development shows every code")
    return chosen


def _default_path(env: dict[str, str]) -> Path | None:
    if "HUB_CONFIG" in env:
        return Path(env["HUB_CONFIG"])
    beside = (Path.cwd() / "config.toml", Path(__file__).parents[2] / "config.toml")
    return next((path for path in beside if path.is_file()), None)


def _read(path: Path | None) -> dict[str, Any]:  # Any: TOML values, typed by the conversion that follows
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"{path}: {error}") from error


def _override(tree: dict[str, Any], name: str, value: str) -> None:
    parts = name.lower().split("__")
    field = _field(parts[1], parts[2]) if len(parts) == 3 else None
    if field is None:
        raise BadSettings(f"{name}: there is no such setting")
    try:
        tree.setdefault(parts[1], {})[parts[2]] = msgspec.convert(_words(value, field), field.type, strict=False)
    except msgspec.ValidationError as error:
        raise BadSettings(f"{name}: {error}{_possible(field)}") from error


def _words(value: str, field: msgspec.structs.FieldInfo) -> str | list[str]:
    """From the environment, a list is words."""
    shape = get_args(field.type)[0] if get_origin(field.type) is Annotated else field.type
    return value.split() if get_origin(shape) is list else value


def _possible(field: msgspec.structs.FieldInfo | None) -> str:
    """For a setting with few values, which they are."""
    if field is None or get_origin(field.type) is not Literal:
        return ""
    return f"; possible: {', '.join(get_args(field.type))}"


def _field(section: str, key: str) -> msgspec.structs.FieldInfo | None:
    sections = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    if section not in sections:
        return None
    return next((field for field in msgspec.structs.fields(sections[section]) if field.name == key), None)
