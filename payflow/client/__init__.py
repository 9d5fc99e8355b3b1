"""
A merchant's side of the API: the one client that signs, repeats and turns pages.

Copy this folder into your shop if you like: it needs Python 3.11 and urllib3, and imports nothing
else of ours. What it does is described in docs/client.md.

    client = Client("https://pay.example.com/api/v1", merchant_id, api_key)
    answer = client.post("/payments", {"payeeAccountId": …, "amount": "250.00", …}, wait_seconds=10)
    for payment in client.items("/payments", status="AUTHORISED"):
        client.post(f"/payments/{payment['paymentId']}/capture", {})
"""

from .client import Answer, Client, NoAnswer, Patience, Refused
from .signing import Signer

__all__ = ["Answer", "Client", "NoAnswer", "Patience", "Refused", "Signer"]
