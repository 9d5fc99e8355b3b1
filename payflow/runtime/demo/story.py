"""The story: one merchant, five payments, and what each of them left behind."""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from email import message_from_bytes, policy
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any

from payflow.client import Answer, Client
from payflow.runtime.demo.paper import Paper
from payflow.runtime.processes import wait_until
from payflow.runtime.scratch import Platform

_ADDRESS = "till@acme.example"
_PAYEE = "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b11"
_TRAIL = [
    "Payment.Transaction.Initiated",
    "Fraud.Assessment.Completed",
    "Payment.Transaction.Authorised",
    "Ledger.Entry.Posted",
]
_SUBJECTS = [
    "Payment of 10000.01 USD declined",
    "Payment of 250.00 USD authorised",
    "Payment of 5000 JPY authorised",
    "Payment of 80.00 USD declined",
    "Payment of 90.00 USD authorised",
    "Captured 100.00 of 250.00 USD",
    "Refunded 30.00 of 250.00 USD",
    "Welcome to PayFlow",
]
_ENTRIES = [("AUTH", "250.00"), ("CAPTURE", "100.00"), ("RELEASE", "150.00"), ("REFUND", "30.00")]
_LEDGER_SECONDS = 10
_MAIL_SECONDS = 30


class Story:
    """Plays on a running platform and writes on paper; every scene expects something."""

    def __init__(self, platform: Platform, paper: Paper) -> None:
        self._platform, self._paper = platform, paper
        self._merchant: Client

    def play(self) -> None:
        """
        All scenes, in order.

        Raises:
            Differs: at the first thing that is not as it should be.

        """
        self._registration()
        first = self._approved_payment()
        self._trail(first.document)
        self._journal(first.document)
        self._replay(first)
        self._tampering()
        self._capture_and_refund(first.document)
        self._lost_answer()
        self._declined_by_fraud()
        self._declined_by_issuer()
        self._other_currency()
        self._balances()
        self._mail()

    # Scenes ------------------------------------------------------------------------------------

    def _registration(self) -> None:
        self._paper.scene("A merchant registers and gets a key, shown once")
        api = self._platform.api
        self._merchant = Client.register(api, name="Acme Corp", email=_ADDRESS)
        key = self._merchant.api_key
        self._paper.expect("prefix of the key", key[:8], "pk_test_")
        self._paper.line(f"merchant  {self._merchant.merchant_id}")
        self._paper.line(f"key       {key[:12]}…  ({len(key)} characters, sealed at rest)")

    def _approved_payment(self) -> Answer:
        self._paper.scene("A signed payment of 250.00 USD")
        answer = self._pay("order-1001", "250.00", "USD")
        self._expect_decision(answer, "AUTHORISED")
        self._expect_amounts(answer.document, authorised="250.00")
        return answer

    def _trail(self, payment: dict[str, Any]) -> None:
        self._paper.scene("What happened, as the audit trail has it")
        path = f"/payments/{payment['paymentId']}/events"
        wait_until(lambda: len(self._events(path)) >= len(_TRAIL), _LEDGER_SECONDS)
        events = self._events(path)
        start = _time(events[0])
        self._paper.table(
            ("after", "event", "says"),
            [
                (f"{(_time(e) - start).total_seconds() * 1000:.0f} ms", e["eventType"], _says(e))
                for e in events
            ],
            right=(0,),
        )
        self._paper.expect("the trail", [event["eventType"] for event in events], _TRAIL)
        stories = {event["correlationId"] for event in events}
        self._paper.expect("correlation ids", stories, {payment["correlationId"]})
        self._paper.proved("four events of three modules, in order, under one correlation id")

    def _journal(self, payment: dict[str, Any]) -> None:
        self._paper.scene("The journal entry that holds the money")
        answer = self._merchant.get(f"/ledger/journal/{payment['correlationId']}")
        self._expect_status(answer, HTTPStatus.OK)
        (entry,) = answer.document["data"]
        postings = entry["postings"]
        debits, credits_ = _total(postings, "debit"), _total(postings, "credit")
        self._paper.table(
            (f"{entry['type']} {entry['currency']}", "debit", "credit"),
            [
                (_short(line["account"]), line.get("debit", ""), line.get("credit", ""))
                for line in postings
            ],
            total=("Σ", str(debits), str(credits_)),
            right=(1, 2),
        )
        self._paper.expect("type of the entry", entry["type"], "AUTH")
        self._paper.expect("Σ debits", debits, Decimal("250.00"))
        self._paper.expect("Σ credits", credits_, debits)
        self._paper.proved("Σ debits = Σ credits")

    def _replay(self, first: Answer) -> None:
        self._paper.scene("The same request once more, as after a lost answer")
        again = self._pay("order-1001", "250.00", "USD")
        self._paper.expect("status", again.status, first.status)
        self._paper.expect("body of the replay", again.body, first.body)
        self._paper.expect("Idempotent-Replayed", again.headers.get("Idempotent-Replayed"), "true")
        digest = sha256(again.body).hexdigest()[:16]
        self._expect_payments(1)
        self._paper.proved(f"the same {len(again.body)} bytes (sha256 {digest}…), one payment")

    def _tampering(self) -> None:
        self._paper.scene("Somebody changes 250.00 to 999.00 on the way")
        signed = json.dumps(_payment("order-1002", "250.00", "USD", "tok_test")).encode()
        tampered = signed.replace(b"250.00", b"999.00")
        headers = self._merchant.signer.version_2("POST", "/api/v1/payments", signed)
        answer = self._merchant.send("POST", "/payments", tampered, headers)
        self._expect_status(answer, HTTPStatus.UNAUTHORIZED)
        self._paper.expect("code", answer.document["code"], "invalid_signature")
        self._expect_payments(1)
        self._paper.proved("401 invalid_signature, and no payment was made of it")

    def _capture_and_refund(self, payment: dict[str, Any]) -> None:
        self._paper.scene("100.00 of it are captured, the rest is released, 30.00 go back")
        path = f"/payments/{payment['paymentId']}"
        captured = self._ask(f"{path}/capture", amount="100.00")
        self._paper.expect("status after the capture", captured.document["status"], "CAPTURED")
        refunded = self._ask(f"{path}/refund", amount="30.00")
        self._paper.expect("status of the refund", refunded.document["status"], "REFUNDED")
        beyond = self._ask(f"{path}/refund", expected=HTTPStatus.CONFLICT, amount="70.01")
        self._paper.expect("code", beyond.document["code"], "refund_exceeds_captured")
        wait_until(lambda: len(self._entries(path)) == len(_ENTRIES), _LEDGER_SECONDS)
        entries = self._entries(path)
        self._paper.table(("entry", "amount"), entries, right=(1,))
        self._paper.expect("entries", entries, _ENTRIES)
        self._paper.proved("the hold released once; one cent more than was captured is refused")

    def _lost_answer(self) -> None:
        self._paper.scene("The processor charges, and its answer is lost (tok_bad_gateway)")
        answer = self._pay("order-1006", "90.00", "USD", token="tok_bad_gateway")  # noqa: S106
        self._expect_decision(answer, "AUTHORISED")
        path = f"/payments/{answer.document['paymentId']}/events"
        wait_until(lambda: len(self._events(path)) >= len(_TRAIL), _LEDGER_SECONDS)
        self._paper.proved("it was asked what became of it, and not charged twice")

    def _declined_by_fraud(self) -> None:
        self._paper.scene("A payment one cent above the limit of the fraud rule")
        answer = self._pay("order-1003", "10000.01", "USD")
        self._expect_decision(answer, "DECLINED", reason="fraud_assessment")
        assessed = self._merchant.get(f"/fraud/assessments/{answer.document['paymentId']}")
        (hit,) = assessed.document["rules"]
        self._paper.line(f"rule      {hit['rule']}: {hit['reason']}")
        self._expect_unbooked(answer)

    def _declined_by_issuer(self) -> None:
        self._paper.scene("A payer without the money (tok_insufficient_funds)")
        answer = self._pay("order-1004", "80.00", "USD", token="tok_insufficient_funds")  # noqa: S106
        self._expect_decision(answer, "DECLINED", reason="insufficient_funds")
        self._expect_unbooked(answer)

    def _other_currency(self) -> None:
        self._paper.scene("A payment in yen, which has no decimals")
        answer = self._pay("order-1005", "5000", "JPY")
        self._expect_decision(answer, "AUTHORISED")
        self._expect_amounts(answer.document, authorised="5000")
        path = f"/payments/{answer.document['paymentId']}/events"
        wait_until(lambda: len(self._events(path)) >= len(_TRAIL), _LEDGER_SECONDS)

    def _balances(self) -> None:
        self._paper.scene("What is held for the merchant now")
        answer = self._merchant.get("/ledger/balances")
        self._expect_status(answer, HTTPStatus.OK)
        rows = [
            (row["currency"], row["pending"], row["available"]) for row in answer.document["data"]
        ]
        self._paper.table(("currency", "pending", "available"), sorted(rows), right=(1, 2))
        self._expect_payments(5)
        expected = [("JPY", "5000", "0"), ("USD", "90.00", "70.00")]
        self._paper.expect("balances", sorted(rows), expected)

    def _mail(self) -> None:
        self._paper.scene("And the merchant has mail")
        mail = self._platform.mail
        wait_until(lambda: len(list(_messages(mail))) >= len(_SUBJECTS), _MAIL_SECONDS)
        messages = sorted(_messages(mail))
        self._paper.table(("to", "subject"), messages)
        subjects = [subject for _, subject in messages]
        self._paper.expect("subjects", subjects, sorted(_SUBJECTS))
        self._paper.expect("recipients", {to for to, _ in messages}, {_ADDRESS})

    # Steps -------------------------------------------------------------------------------------

    def _pay(self, key: str, amount: str, currency: str, token: str = "tok_test") -> Answer:  # noqa: S107
        return self._merchant.post("/payments/authorize", _payment(key, amount, currency, token))

    def _ask(self, path: str, *, amount: str, expected: HTTPStatus = HTTPStatus.OK) -> Answer:
        key = f"{path.rpartition('/')[2]}-{amount}"
        answer = self._merchant.post(path, {"idempotencyKey": key, "amount": amount})
        self._expect_status(answer, expected)
        return answer

    def _entries(self, path: str) -> list[tuple[str, str]]:
        entries = self._merchant.get(path).document["ledgerEntries"]
        return [(entry["type"], entry["amount"]) for entry in entries]

    def _events(self, path: str) -> list[dict[str, Any]]:
        """Without what mail has to say: between it and the ledger there is no order."""
        events: list[dict[str, Any]] = self._merchant.get(path).document["data"]
        return [event for event in events if not event["eventType"].startswith("Notification.")]

    def _expect_status(self, answer: Answer, status: HTTPStatus) -> None:
        self._paper.expect(f"status of {answer.body[:200]!r}", answer.status, int(status))

    def _expect_decision(self, answer: Answer, status: str, *, reason: str | None = None) -> None:
        self._expect_status(answer, HTTPStatus.CREATED)
        payment = answer.document
        self._paper.expect("status of the payment", payment["status"], status)
        self._paper.expect("reason", payment.get("declineReason"), reason)
        why = f"  ({reason})" if reason else ""
        self._paper.line(f"payment   {payment['paymentId']}")
        self._paper.line(f"status    {payment['status']}{why}")

    def _expect_amounts(self, payment: dict[str, Any], *, authorised: str) -> None:
        self._paper.expect("authorisedAmount", payment["authorisedAmount"], authorised)
        self._paper.line(f"amount    {payment['amount']} {payment['currency']}, all of it held")

    def _expect_payments(self, count: int) -> None:
        payments = self._merchant.get("/payments").document["data"]
        self._paper.expect("number of payments", len(payments), count)

    def _expect_unbooked(self, answer: Answer) -> None:
        payment = self._merchant.get(f"/payments/{answer.document['paymentId']}").document
        self._paper.expect("entries", payment["ledgerEntries"], [])
        journal = self._merchant.get(f"/ledger/journal/{payment['correlationId']}")
        self._expect_status(journal, HTTPStatus.NOT_FOUND)
        self._paper.proved("no journal entry")


def _payment(key: str, amount: str, currency: str, token: str) -> dict[str, Any]:
    return {
        "payeeAccountId": _PAYEE,
        "idempotencyKey": key,
        "amount": amount,
        "currency": currency,
        "paymentMethod": {"type": "CARD", "token": token},
    }


def _time(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["occurredAt"])


def _says(event: dict[str, Any]) -> str:
    payload = event["payload"]
    if "decision" in payload:
        return f"{payload['decision']}, score {payload['score']} of 100"
    about = payload.get("entryType") or payload.get("processor") or payload["merchantName"]
    return f"{payload['amount']} {payload['currency']}, {about}"


def _total(postings: list[dict[str, str]], side: str) -> Decimal:
    return sum((Decimal(line[side]) for line in postings if side in line), Decimal(0))


def _short(account: str) -> str:
    kind, owner, currency = account.split(":")
    return f"{kind}:{owner if owner.isalpha() else owner[:8] + '…'}:{currency}"


def _messages(directory: Path) -> Iterator[tuple[str, str]]:
    for file in directory.glob("*.eml"):
        message = message_from_bytes(file.read_bytes(), policy=policy.default)
        yield str(message["To"]), str(message["Subject"])
