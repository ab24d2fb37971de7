"""The signatures of Aliyun and Tencent, with their own libraries as oracle: property by property, and over the wire."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import aiohttp
from alibabacloud_openapi_util.client import Client as Oracle
from hypothesis import given
from hypothesis import strategies as st
from Tea.request import TeaRequest
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.common.sign import Sign

from channels import aliyun_signature, tencent_signature
from tests.standins.sms import open_standin
from tests.standins.sms_aliyun import KEY_ID, KEY_SECRET
from tests.standins.sms_tencent import APP_ID, SECRET_ID, SECRET_KEY

NOW = datetime(2026, 11, 22, 8, 0, 30, tzinfo=UTC)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
keys = st.text("abcXYZ0123456789", min_size=1, max_size=40)


@given(parameters=st.dictionaries(keys, texts, max_size=5), key_id=keys, key_secret=keys)
def test_aliyun_would_sign_the_same(parameters: dict[str, str], key_id: str, key_secret: str) -> None:
    """Whatever the parameters hold, its own library writes the same Authorization."""
    call = aliyun_signature.Call("dysmsapi.aliyuncs.com", "SendSms", "2017-05-25", parameters)
    headers = aliyun_signature.headers_of(call, key_id, key_secret, NOW, "nonce-1")
    request = TeaRequest()
    request.method, request.pathname, request.query = "POST", "/", parameters
    request.headers = {name: value for name, value in headers.items() if name != "authorization"}
    payload = hashlib.sha256(b"").hexdigest()

    assert headers["authorization"] == Oracle.get_authorization(
        request, "ACS3-HMAC-SHA256", payload, key_id, key_secret
    )
    assert headers["x-acs-date"] == "2026-11-22T08:00:30Z"


@given(body=st.dictionaries(texts, texts, max_size=5), secret_id=keys, secret_key=keys)
def test_tencent_would_sign_the_same(body: dict[str, str], secret_id: str, secret_key: str) -> None:
    """The key's derivation and the last step are its library's own; the canonical request is held to the wire below."""
    content = json.dumps(body).encode()
    call = tencent_signature.Call("sms.tencentcloudapi.com", "sms", "SendSms", "2021-01-11", "ap-guangzhou", content)
    headers = tencent_signature.headers_of(call, secret_id, secret_key, NOW)
    lines = "content-type:application/json\nhost:sms.tencentcloudapi.com\n"
    canonical = f"POST\n/\n\n{lines}\ncontent-type;host\n{hashlib.sha256(content).hexdigest()}"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"TC3-HMAC-SHA256\n{int(NOW.timestamp())}\n2026-11-22/sms/tc3_request\n{hashed}"

    assert headers["authorization"] == (
        f"TC3-HMAC-SHA256 Credential={secret_id}/2026-11-22/sms/tc3_request, SignedHeaders=content-type;host, "
        f"Signature={Sign.sign_tc3(secret_key, '2026-11-22', 'sms', to_sign)}"
    )


async def test_the_standin_believes_aliyun_s_own_signature() -> None:
    """So what it demands of us is what Aliyun demands."""
    asked = {"PhoneNumbers": "13800138000", "SignName": "健康服务", "TemplateCode": "SMS_1", "OutId": "attempt-1"}
    asked["TemplateParam"] = '{"name":"张三 +&="}'
    async with open_standin() as standin:
        request = TeaRequest()
        request.method, request.pathname, request.query = "POST", "/", asked
        request.headers = {
            "host": standin.url.removeprefix("http://"),
            "x-acs-action": "SendSms",
            "x-acs-version": "2017-05-25",
            "x-acs-date": Oracle.get_timestamp(),
            "x-acs-signature-nonce": "nonce-1",
            "accept": "application/json",
        }
        payload = hashlib.sha256(b"").hexdigest()
        request.headers["x-acs-content-sha256"] = payload
        signed = Oracle.get_authorization(request, "ACS3-HMAC-SHA256", payload, KEY_ID, KEY_SECRET)
        headers = request.headers | {"Authorization": signed}
        async with aiohttp.request("POST", standin.url, params=asked, headers=headers) as answer:
            told = await answer.json()

    assert told["Code"] == "OK"
    assert (standin.received[0].attempt, standin.received[0].fields) == ("attempt-1", {"name": "张三 +&="})


async def test_the_standin_believes_tencent_s_own_client() -> None:
    """So what it demands of us is what Tencent demands."""
    async with open_standin() as standin:
        http = HttpProfile(protocol="http", endpoint=standin.url.removeprefix("http://"), reqTimeout=5)
        client = CommonClient(
            "sms", "2021-01-11", Credential(SECRET_ID, SECRET_KEY), "ap-guangzhou", ClientProfile(httpProfile=http)
        )
        asked: dict[str, Any] = {
            "PhoneNumberSet": ["+8613800138000"],
            "SmsSdkAppId": APP_ID,
            "SignName": "健康服务",
            "TemplateId": "1",
            "TemplateParamSet": ["张三"],
            "SessionContext": "attempt-1",
        }
        answer = await asyncio.to_thread(client.call_json, "SendSms", asked)

    assert answer["Response"]["SendStatusSet"][0]["Code"] == "Ok"
    assert (standin.received[0].attempt, standin.received[0].fields) == ("attempt-1", ["张三"])
