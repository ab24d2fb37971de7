"""WeChat Pay v3 as a small real HTTP server: it verifies our signatures, signs and encrypts its own, and has moods.

Keys are made when first used and live as long as the test run; none is stored.
"""

import json
import re
import secrets
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from hub.platform import settings

APP_ID = "wx-test"
MCH_ID = "1900000001"
SERIAL_NO = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000000012026010100000000000000"
API_V3_KEY = "0123456789abcdef0123456789abcdef"
SIGNTEST = "WECHATPAY/SIGNTEST/" + "A" * 320

HANG_UP = (0, b"", "")

_AUTHORIZATION = re.compile(r'(\w+)="([^"]*)"')
_TRANSACTIONS = "/v3/pay/transactions"
_REFUNDS = "/v3/refund/domestic/refunds"


@cache
def rsa_key(owner: str) -> RSAPrivateKey:
    """merchant, platform, or anybody else's."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(owner: str) -> str:
    return rsa_key(owner).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(owner: str) -> str:
    public = rsa_key(owner).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def sign(owner: str, *lines: str | bytes) -> str:
    return b64encode(rsa_key(owner).sign(_message(lines), PKCS1v15(), SHA256())).decode()


def is_signed(owner: str, signature: str, *lines: str | bytes) -> bool:
    try:
        rsa_key(owner).public_key().verify(b64decode(signature), _message(lines), PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(lines: Sequence[str | bytes]) -> bytes:
    return b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Notification:
    """What WeChat Pay sends to the notify address."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Trade:
    """An order as WeChat Pay keeps it."""

    asked: dict[str, Any]
    prepay_id: str = ""
    state: str = "NOTPAY"
    transaction_id: str = ""


@dataclass
class WechatPayStandin:
    """`with WechatPayStandin() as pay:` serves on `pay.url`.

    `moods[op]`, for op prepare, query, close, refund or query_refund: busy (500), cut (hangs up before the effect), lost
    (hangs up after it), silent (says nothing, and does nothing), drip (a few bytes now and then), forged (signed by another
    key), garbage, or an error code of WeChat Pay's (403).
    """

    moods: dict[str, str] = field(default_factory=dict)
    trades: dict[str, Trade] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """What was asked about which number, in order."""
    refund_status: str = "PROCESSING"
    on_request: Callable[[str, str], None] = lambda op, number: None
    """Called before the effect, in the server's thread."""
    on_effect: Callable[[str, str], None] = lambda op, number: None
    """Called after the effect and before the answer."""
    now: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def settings(self, timeout_s: float = 10.0) -> settings.Payments:
        """What a hub needs to talk to this server."""
        return settings.Payments(
            mch_id=MCH_ID,
            serial_no=SERIAL_NO,
            private_key=private_pem("merchant"),
            api_v3_key=API_V3_KEY,
            public_key=public_pem("platform"),
            public_key_id=PUBLIC_KEY_ID,
            notify_url="https://hub.test/api/v1/payments/wechat/notify",
            base_url=self.url,
            timeout_s=timeout_s,
        )

    def count(self, op: str, number: str = "") -> int:
        return sum(1 for each in self.asked if each[0] == op and number in ("", each[1]))

    # What people do

    def pay(self, number: str) -> str:
        """The payer confirms; the answer is the transaction."""
        with self._lock:
            trade = self.trades[number]
            assert trade.state == "NOTPAY", trade.state
            trade.state, trade.transaction_id = "SUCCESS", f"42000{secrets.randbelow(10**23):023d}"
            return trade.transaction_id

    def finish_refund(self, number: str, status: str = "SUCCESS") -> None:
        with self._lock:
            self.refunds[number]["status"] = status

    # What WeChat Pay tells

    def paid(self, number: str, **changed: Any) -> Notification:
        """That the order was paid; `changed` are fields of the resource."""
        return self.notification("TRANSACTION.SUCCESS", self._transaction(number) | changed)

    def refunded(self, number: str, **changed: Any) -> Notification:
        refund = self.refunds[number]
        resource = {
            "mchid": MCH_ID,
            "out_trade_no": refund["out_trade_no"],
            "transaction_id": refund["transaction_id"],
            "out_refund_no": number,
            "refund_id": refund["refund_id"],
            "refund_status": refund["status"],
            "user_received_account": "支付用户零钱",
            "amount": refund["amount"],
        }
        return self.notification(f"REFUND.{refund['status']}", resource | changed)

    def notification(
        self,
        event: str,
        resource: Any,
        *,
        owner: str = "platform",
        age_s: float = 0.0,
        api_key: str = API_V3_KEY,
        **headers: str,
    ) -> Notification:
        """Encrypted and signed; each argument makes one thing wrong."""
        nonce, plain = secrets.token_hex(6), json.dumps(resource, ensure_ascii=False).encode()
        sealed = AESGCM(api_key.encode()).encrypt(nonce.encode(), plain, b"transaction")
        content = {
            "id": secrets.token_hex(18),
            "create_time": "2026-01-02T03:04:05+08:00",
            "event_type": event,
            "resource_type": "encrypt-resource",
            "summary": "支付成功",
            "resource": {
                "algorithm": "AEAD_AES_256_GCM",
                "original_type": "transaction",
                "associated_data": "transaction",
                "nonce": nonce,
                "ciphertext": b64encode(sealed).decode(),
            },
        }
        return self.signed(json.dumps(content).encode(), owner=owner, age_s=age_s, **headers)

    def signed(self, body: bytes, *, owner: str = "platform", age_s: float = 0.0, **headers: str) -> Notification:
        """Any body under WeChat Pay's headers; `headers` by their last word, e.g. `serial`."""
        named = {f"Wechatpay-{name.replace('_', '-').title()}": value for name, value in headers.items()}
        return Notification(self._headers(body, owner, age_s) | named, body)

    def _headers(self, body: bytes, owner: str, age_s: float = 0.0) -> dict[str, str]:
        timestamp, nonce = str(int(self.now() - age_s)), secrets.token_hex(16)
        return {
            "Content-Type": "application/json",
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": PUBLIC_KEY_ID,
            "Wechatpay-Signature": sign(owner, timestamp, nonce, body),
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        }

    # What it answers

    def answer(self, method: str, path: str, authorization: str, body: bytes) -> tuple[int, bytes, str]:
        """Status, content, and who signs it."""
        address = urlsplit(path)
        op, number, perform = self._route(method, address.path, parse_qs(address.query), body)
        self.asked.append((op, number))
        self.on_request(op, number)
        mood = self.moods.get(op, "")
        if mood == "silent":
            self._released.wait()
        if mood in ("silent", "cut"):
            return HANG_UP
        if mood == "busy":
            return 500, _failure("SYSTEM_ERROR"), "platform"
        if mood == "garbage":
            return 200, b"<html>", "platform"
        if mood.isupper():
            return 403, _failure(mood), "platform"
        try:
            self._check_authorization(method, path, authorization, body)
            with self._lock:
                status, content = perform()
        except Refused as refused:
            return refused.status, _failure(refused.code), "platform"
        self.on_effect(op, number)
        if mood == "lost":
            return HANG_UP
        return status, json.dumps(content).encode() if content else b"", "stranger" if mood == "forged" else "platform"

    def _check_authorization(self, method: str, path: str, authorization: str, body: bytes) -> None:
        scheme, _, rest = authorization.partition(" ")
        fields = dict(_AUTHORIZATION.findall(rest))
        lines = (method, path, fields.get("timestamp", ""), fields.get("nonce_str", ""), body)
        is_ours = (fields.get("mchid"), fields.get("serial_no")) == (MCH_ID, SERIAL_NO)
        is_fresh = abs(float(fields.get("timestamp", "0")) - time.time()) < 300
        fits = is_signed("merchant", fields.get("signature", ""), *lines)
        if scheme != "WECHATPAY2-SHA256-RSA2048" or not (is_ours and is_fresh and fits):
            raise Refused(401, "SIGN_ERROR")

    def _route(
        self, method: str, path: str, query: dict[str, list[str]], body: bytes
    ) -> tuple[str, str, Callable[[], tuple[int, Any]]]:
        asked = json.loads(body) if body else {}
        if method == "POST" and path in (f"{_TRANSACTIONS}/jsapi", f"{_TRANSACTIONS}/native"):
            number = asked["out_trade_no"]
            return "prepare", number, lambda: self._prepare(asked, number, path.rsplit("/", 1)[1])
        if method == "POST" and path == _REFUNDS:
            return "refund", asked["out_refund_no"], lambda: self._refund(asked)
        if path.startswith(f"{_REFUNDS}/"):
            number = path.rsplit("/", 1)[1]
            return "query_refund", number, lambda: self._query_refund(number)
        parts = path.removeprefix(f"{_TRANSACTIONS}/out-trade-no/").split("/")
        if parts[1:] == ["close"]:
            return "close", parts[0], lambda: self._close(parts[0], asked["mchid"])
        return "query", parts[0], lambda: self._query(parts[0], query["mchid"][0])

    def _prepare(self, asked: dict[str, Any], number: str, kind: str) -> tuple[int, Any]:
        if (asked["mchid"], asked["appid"]) != (MCH_ID, APP_ID):
            raise Refused(400, "APPID_MCHID_NOT_MATCH")
        if asked["amount"]["total"] < 1 or not re.fullmatch(r"[0-9A-Za-z_\-|*]{6,32}", number):
            raise Refused(400, "PARAM_ERROR")
        trade = self.trades.setdefault(number, Trade(asked))
        if trade.asked != asked:
            raise Refused(403, "OUT_TRADE_NO_USED")
        if trade.state == "SUCCESS":
            raise Refused(400, "ORDERPAID")
        if trade.state == "CLOSED":
            raise Refused(400, "ORDER_CLOSED")
        trade.prepay_id = f"wx{secrets.token_hex(17)}"  # another each time, of the same order
        if kind == "native":
            return 200, {"code_url": f"weixin://wxpay/bizpayurl?pr={trade.prepay_id}"}
        assert asked["payer"]["openid"]
        return 200, {"prepay_id": trade.prepay_id}

    def _query(self, number: str, merchant: str) -> tuple[int, Any]:
        if merchant != MCH_ID or number not in self.trades:
            raise Refused(404, "ORDER_NOT_EXIST")
        return 200, self._transaction(number)

    def _transaction(self, number: str) -> dict[str, Any]:
        trade = self.trades[number]
        asked = trade.asked
        found = {
            "appid": asked["appid"],
            "mchid": asked["mchid"],
            "out_trade_no": number,
            "attach": asked.get("attach", ""),
            "trade_state": trade.state,
            "trade_state_desc": "支付成功",
            "amount": {
                "total": asked["amount"]["total"],
                "payer_total": asked["amount"]["total"],
                "currency": "CNY",
                "payer_currency": "CNY",
            },
        }
        if trade.transaction_id:
            found |= {"transaction_id": trade.transaction_id, "bank_type": "OTHERS", "payer": asked.get("payer", {})}
        return found

    def _close(self, number: str, merchant: str) -> tuple[int, Any]:
        trade = self.trades.get(number)
        if merchant != MCH_ID or trade is None:
            raise Refused(404, "ORDER_NOT_EXIST")
        if trade.state == "SUCCESS":
            raise Refused(400, "ORDERPAID")
        trade.state = "CLOSED"
        return 204, None

    def _refund(self, asked: dict[str, Any]) -> tuple[int, Any]:
        trade = self.trades.get(asked["out_trade_no"])
        if trade is None or trade.state not in ("SUCCESS", "REFUND"):
            raise Refused(404, "RESOURCE_NOT_EXISTS")
        number = asked["out_refund_no"]
        if number not in self.refunds and trade.state == "REFUND":
            raise Refused(400, "INVALID_REQUEST")  # the money has gone back already
        trade.state = "REFUND"
        known = self.refunds.setdefault(number, self._new_refund(asked, trade))
        if known["amount"]["refund"] != asked["amount"]["refund"]:
            raise Refused(400, "INVALID_REQUEST")
        return 200, known

    def _new_refund(self, asked: dict[str, Any], trade: Trade) -> dict[str, Any]:
        return {
            "refund_id": f"50000{secrets.randbelow(10**20):020d}",
            "out_refund_no": asked["out_refund_no"],
            "transaction_id": trade.transaction_id,
            "out_trade_no": asked["out_trade_no"],
            "channel": "ORIGINAL",
            "user_received_account": "支付用户零钱",
            "status": self.refund_status,
            "amount": asked["amount"] | {"payer_total": asked["amount"]["total"]},
        }

    def _query_refund(self, number: str) -> tuple[int, Any]:
        if number not in self.refunds:
            raise Refused(404, "RESOURCE_NOT_EXISTS")
        return 200, self.refunds[number]


def _failure(code: str) -> bytes:
    return json.dumps({"code": code, "message": "失败"}).encode()


def _handler(standin: WechatPayStandin) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            authorization = self.headers.get("Authorization", "")
            status, content, owner = standin.answer(self.command, self.path, authorization, body)
            if not status:
                return
            dripping = "drip" in standin.moods.values()
            with suppress(OSError):  # who asked may be dead by now
                self.send_response(status)
                for name, value in standin._headers(content, owner).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                for start in range(0, len(content), 8 if dripping else len(content) or 1):
                    self.wfile.write(content[start : start + 8] if dripping else content)
                    if dripping and standin._released.wait(0.2):
                        return

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    return Handler
