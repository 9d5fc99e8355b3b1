"""What the documents say to type in a shell signs as the platform verifies."""

import os
import re
import shutil
import subprocess

import pytest

from payflow.tests.contracts.repository import texts
from shared.testing.signing import v1_signature, v2_signature

KEY, MERCHANT = "pk_test_secret", "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b11"
BODY = """{"idempotencyKey":"k","reason":"100 % \\\\n ü"}"""
SHELLS = [shell for shell in ("sh", "bash", "zsh", "dash") if shutil.which(shell)]
# Tells what it was called with instead of sending it.
STUB = "curl() { printf '%s\\n' \"$@\"; }\n"
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = [
    pytest.mark.skipif(
        shutil.which("openssl") is None and not os.environ.get("PAYFLOW_REQUIRE_SERVICES"),
        reason="needs the openssl command",
    ),
    pytest.mark.parametrize("shell", SHELLS),
]


def blocks(path: str) -> list[str]:
    return _BLOCK.findall(texts()[path])


def function(path: str, name: str) -> str:
    """A function as a document defines it."""
    (found,) = re.findall(
        rf"^{name}\(\) {{\n.*?^}}\n", "".join(blocks(path)), re.MULTILINE | re.DOTALL
    )
    return str(found)


def run(shell: str, script: str, **variables: str) -> str:
    environment = {"PATH": os.environ["PATH"], "API_KEY": KEY, "MERCHANT_ID": MERCHANT}
    done = subprocess.run(
        [shell, "-c", script],
        env=environment | {"BASE": "http://127.0.0.1:8000/api/v1"} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def headers_in(told: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in told.splitlines() if re.match(r"X-[\w-]+: ", line))


class TestReadme:
    def test_post_signs_in_version_2(self, shell: str) -> None:
        script = STUB + function("README.md", "post") + 'post "/payments/1/void" "$BODY"'
        told = run(shell, script, BODY=BODY)
        headers = headers_in(told)
        expected = v2_signature(
            KEY, headers["X-Timestamp"], "POST", "/api/v1/payments/1/void", "", BODY.encode()
        )
        assert headers["X-Signature"] == expected
        assert headers["X-Merchant-ID"] == MERCHANT
        assert BODY in told.splitlines()

    def test_get_signs_in_version_1(self, shell: str) -> None:
        headers = headers_in(run(shell, STUB + function("README.md", "get") + "get /payments"))
        assert headers["X-Signature"] == v1_signature(KEY, headers["X-Timestamp"], b"")

    def test_payments_are_signed_in_version_1(self, shell: str) -> None:
        signed = [block for block in blocks("README.md") if "/payments/authorize" in block]
        assert len(signed) == 2
        for block in signed:
            script = STUB + "get() { :; }\n" + block + 'echo "$PAYMENT"'
            headers = headers_in(run(shell, script))
            (body,) = re.findall(r"^BODY='(.*)'$", block, re.MULTILINE)
            expected = v1_signature(KEY, headers["X-Timestamp"], body.encode())
            assert headers["X-Signature"] == expected


class TestClientPage:
    def test_signs_in_both_versions(self, shell: str) -> None:
        second, first = blocks("docs/client.md")
        tell = '\nprintf "%s\\n" "$TS" "$SIGNATURE"\n'
        at, signature = run(shell, second + tell).split()
        target = "/api/v1/tokens/tok_1"
        assert signature == v2_signature(KEY, at, "DELETE", target, "delete-1", b"")
        at, signature = run(shell, first + tell, TS="1800000000", BODY=BODY).split()
        assert signature == v1_signature(KEY, at, BODY.encode())
