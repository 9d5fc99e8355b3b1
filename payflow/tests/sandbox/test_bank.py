"""The bank's page: what a payer sees, decides, and is sent back with."""

import base64
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from payflow.sandbox.bank import amount_text, with_query
from payflow.tests.sandbox.conftest import Sandbox, new_key, receiver, wait_until

BANK = {"type": "NETBANKING", "bankCode": "HDFC <Bank>"}


@pytest.fixture
def browser() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False) as pool:
        yield pool


def visit(sandbox: Sandbox, key: str = "", **more: Any) -> str:
    """The URL of the page of a new authorisation."""
    reply = sandbox.authorise(key=key, acquirer="sandbox-bank", **{"instrument": BANK} | more)
    assert reply.json()["status"] == "PENDING"
    url: str = reply.json()["redirect"]["url"]
    assert url.startswith(sandbox.url + "/bank/")
    return url


def decide(browser: urllib3.PoolManager, url: str, decision: str) -> urllib3.BaseHTTPResponse:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return browser.request(
        "POST", url, body=f"decision={decision}", headers=headers, redirect=False
    )


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


class TestPage:
    def test_shows_what_is_asked(self, sandbox: Sandbox, browser: urllib3.PoolManager) -> None:
        reply = browser.request("GET", visit(sandbox, merchantReference="<i>order</i> 7"))
        page = reply.data.decode()
        assert reply.status == 200
        assert "250.00 USD" in page
        assert "HDFC &lt;Bank&gt;" in page
        assert "&lt;i&gt;order&lt;/i&gt; 7" in page

    def test_is_accessible_and_asks_nobody_else(
        self, sandbox: Sandbox, browser: urllib3.PoolManager
    ) -> None:
        reply = browser.request("GET", visit(sandbox))
        tags = Tags(reply.data.decode()).found
        names = [name for name, _ in tags]
        assert names.count("h1") == names.count("main") == names.count("title") == 1
        assert dict(tags)["html"]["lang"] == "en"
        assert [attrs["value"] for name, attrs in tags if name == "button"] == [
            "approve",
            "decline",
        ]
        assert not [attrs for _, attrs in tags if {"src", "href"} & set(attrs)]
        assert "script" not in names
        policy = reply.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        (style,) = re.findall(r"<style>(.*?)</style>", reply.data.decode(), re.DOTALL)
        assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
        assert reply.headers["X-Frame-Options"] == "DENY"
        assert reply.headers["Referrer-Policy"] == "no-referrer"

    def test_of_nobody(self, sandbox: Sandbox, browser: urllib3.PoolManager) -> None:
        assert browser.request("GET", sandbox.url + "/bank/auth_nobody").status == 404
        plain = sandbox.authorised()
        assert browser.request("GET", f"{sandbox.url}/bank/{plain}").status == 404


class TestDecision:
    @pytest.mark.parametrize(
        ("decision", "status"), [("approve", "APPROVED"), ("decline", "DECLINED")]
    )
    def test_goes_into_the_book_and_to_the_merchant(
        self, sandbox: Sandbox, browser: urllib3.PoolManager, decision: str, status: str
    ) -> None:
        key = new_key()
        with receiver() as called:
            back = "https://shop.example/done?order=7#end"
            url = visit(sandbox, key, returnUrl=back, callbackUrl=called.url)
            reply = decide(browser, url, decision)
            wait_until(lambda: called.received)
        assert reply.status == 303
        target = urlsplit(reply.headers["Location"])
        assert parse_qs(target.query) == {"order": ["7"], "paymentReference": ["pay-1"]}
        assert (target.netloc, target.fragment) == ("shop.example", "end")
        answer = sandbox.ask(key, "sandbox-bank").json()
        assert answer["status"] == status
        assert "redirect" not in answer
        assert sandbox.authorise(
            key=key, acquirer="sandbox-bank", instrument=BANK, returnUrl=back,
            callbackUrl=called.url,
        ).json() == answer  # fmt: skip
        lines = [line["status"] for line in sandbox.lines(key=key)]
        assert lines == ["PENDING", status]

    def test_is_made_once(self, sandbox: Sandbox, browser: urllib3.PoolManager) -> None:
        key = new_key()
        url = visit(sandbox, key)
        assert decide(browser, url, "approve").status == 200
        assert decide(browser, url, "decline").status == 409
        assert b"approved" in browser.request("GET", url).data
        assert sandbox.ask(key, "sandbox-bank").json()["status"] == "APPROVED"

    @pytest.mark.parametrize("decision", ["", "perhaps", "%ff", "approve" * 9000])
    def test_must_be_one(
        self, sandbox: Sandbox, browser: urllib3.PoolManager, decision: str
    ) -> None:
        key = new_key()
        assert decide(browser, visit(sandbox, key), decision).status == 400
        assert sandbox.ask(key, "sandbox-bank").json()["status"] == "PENDING"

    def test_comes_too_late(self, sandbox: Sandbox, browser: urllib3.PoolManager) -> None:
        key = new_key()
        url = visit(sandbox, key, instrument={"type": "NETBANKING", "bankCode": "EXPIRES"})
        wait_until(lambda: sandbox.ask(key, "sandbox-bank").json()["status"] == "DECLINED")
        assert sandbox.ask(key, "sandbox-bank").json()["reason"] == "redirect_expired"
        assert decide(browser, url, "approve").status == 410
        assert browser.request("GET", url).status == 410
        assert [line["status"] for line in sandbox.lines(key=key)] == ["PENDING", "DECLINED"]

    def test_an_approved_one_can_be_captured(
        self, sandbox: Sandbox, browser: urllib3.PoolManager
    ) -> None:
        url = visit(sandbox)
        decide(browser, url, "approve")
        reference = url.rpartition("/")[2]
        path = f"/acquirers/sandbox-bank/authorisations/{reference}/captures"
        body = {"amountMinor": 1, "currency": "USD", "final": True}
        reply = sandbox.send("POST", path, body, key=new_key())
        assert reply.json()["status"] == "APPROVED"


class TestWords:
    @pytest.mark.parametrize(
        ("amount", "currency", "text"),
        [(5, "USD", "0.05 USD"), (1234, "JPY", "1234 JPY"), (1005, "KWD", "1.005 KWD")],
    )
    def test_of_amounts(self, amount: int, currency: str, text: str) -> None:
        assert amount_text(amount, currency) == text

    def test_of_addresses(self) -> None:
        url = with_query("http://a/b", {"paymentReference": "a&b=ü"})
        assert re.fullmatch(r"http://a/b\?paymentReference=a%26b%3D%C3%BC", url)
