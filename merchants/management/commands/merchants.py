"""
`manage.py merchants`: look merchants up, and help those who are locked out.

    merchants list [--search TEXT] [--suspended]     merchants, newest first
    merchants show MERCHANT                          a merchant and its keys
    merchants issue-key MERCHANT --reason R          a new key, printed once
    merchants revoke-key KEY --reason R              end a key at once, also the last one
    merchants suspend MERCHANT --reason R            answer its reads only
    merchants resume MERCHANT --reason R             take its changes again
    merchants change-email MERCHANT --to ADDRESS --reason R

Whatever changes something asks for a reason, which is audited with the name of who did it, and the
merchant is told by e-mail.
"""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError

from merchants import conf
from merchants.models import ApiKey, Merchant
from merchants.queries import get_merchant, list_keys, list_merchants
from merchants.use_cases.change_contact import change_contact
from merchants.use_cases.issue_api_key_as_operator import issue_api_key_as_operator
from merchants.use_cases.resume_merchant import resume_merchant
from merchants.use_cases.revoke_api_key_as_operator import revoke_api_key_as_operator
from merchants.use_cases.suspend_merchant import suspend_merchant
from shared import clock
from shared.errors import DomainError
from shared.identifiers import new_id
from shared.management.accounting import add_accounting, harmless, limit, operator_of
from shared.management.tables import instant, table

_HELP = __doc__
_KEYS_SHOWN = 50


class Command(BaseCommand):
    """Doors only: looking is `queries`, acting is a use case each."""

    help = _HELP

    def create_parser(self, *args: Any, **options: Any) -> CommandParser:
        """Keep the lines of the help as they are."""
        return super().create_parser(*args, formatter_class=RawDescriptionHelpFormatter, **options)

    def add_arguments(self, parser: CommandParser) -> None:
        """One parser per verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for verb, (summary, add, _) in _VERBS.items():
            add(verbs.add_parser(verb, help=summary, description=summary))

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the verb says; a refusal is a message."""
        _, _, act = _VERBS[options["verb"]]
        try:
            self.stdout.write(act(options))
        except DomainError as refusal:
            raise CommandError(refusal.detail) from None
        except (OperationalError, InterfaceError) as trouble:
            raise CommandError(f"The database says: {str(trouble).strip()}") from None


# What each verb does, and what it says then


def _list(options: dict[str, Any]) -> str:
    found = list_merchants(text=options["search"], only_suspended=options["suspended"])
    merchants = [_described(merchant) for merchant in found[: options["limit"]]]
    return _document(merchants) if options["json"] else _table(merchants) or "None."


def _show(options: dict[str, Any]) -> str:
    merchant, now = get_merchant(options["merchant"]), clock.now()
    newest = list_keys(merchant.pk).order_by("-created_at", "-pk")[:_KEYS_SHOWN]
    keys = [_described_key(key, now) for key in newest]
    if options["json"]:
        return _document(_described(merchant) | {"keys": keys})
    return "\n".join([_table([_described(merchant)]), "", _table(keys) or "It never had a key."])


def _issue(options: dict[str, Any]) -> str:
    issued = issue_api_key_as_operator(
        merchant_id=options["merchant"], key_id=new_id(), **operator_of(options)
    )
    key = issued.key
    return (
        f"{issued.plain_key}\n\nKey {key.pk} of {key.merchant}, until {instant(key.expires_at)}."
        " It is not shown again. Bring it to the merchant on a way that you trust."
    )


def _revoke(options: dict[str, Any]) -> str:
    key = revoke_api_key_as_operator(key_id=options["key"], **operator_of(options))
    return f"{key} is revoked."


def _suspend(options: dict[str, Any]) -> str:
    merchant = suspend_merchant(merchant_id=options["merchant"], **operator_of(options))
    return f"{merchant} is suspended."


def _resume(options: dict[str, Any]) -> str:
    merchant = resume_merchant(merchant_id=options["merchant"], **operator_of(options))
    return f"{merchant} may make changes again."


def _change_email(options: dict[str, Any]) -> str:
    merchant = change_contact(
        merchant_id=options["merchant"], email=options["to"], **operator_of(options)
    )
    return f"It is {merchant} now; both addresses are told."


# How it looks


def _described(merchant: Merchant) -> dict[str, Any]:
    return {
        "merchant": str(merchant.pk),
        "name": merchant.name,
        "email": merchant.email,
        "signatures": f"v{merchant.minimum_signature_version}+",
        "suspended": instant(merchant.suspended_at),
        "registered": instant(merchant.created_at),
    }


def _described_key(key: ApiKey, now: datetime) -> dict[str, Any]:
    return {
        "key": str(key.pk),
        "prefix": key.prefix,
        "use": "active" if key.is_active(now) else "ended",
        "created": instant(key.created_at),
        "expires": instant(key.expires_at),
        "replaced": instant(key.replaced_at),
        "revoked": instant(key.revoked_at),
        "last used": instant(key.last_used_at),
    }


def _table(described: list[dict[str, Any]]) -> str:
    if not described:
        return ""
    return "\n".join(table(list(described[0]), [list(row.values()) for row in described]))


def _document(found: Any) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False)


# What each verb takes


def _listing(parser: ArgumentParser) -> None:
    parser.add_argument("--search", default="", help="in name or e-mail address")
    parser.add_argument("--suspended", action="store_true", help="only those that are suspended")
    parser.add_argument("--limit", type=limit, default=50, help="how many at most (50)")
    parser.add_argument("--json", action="store_true")


def _showing(parser: ArgumentParser) -> None:
    parser.add_argument("merchant", type=UUID)
    parser.add_argument("--json", action="store_true")


def _on_a_merchant(parser: ArgumentParser) -> None:
    parser.add_argument("merchant", type=UUID)
    add_accounting(parser)


def _on_a_key(parser: ArgumentParser) -> None:
    parser.add_argument("key", type=UUID, help="its id, as `show` has it")
    add_accounting(parser)


def _on_an_address(parser: ArgumentParser) -> None:
    about = f"the new address, at most {conf.MAX_EMAIL_LENGTH} characters"
    parser.add_argument("--to", required=True, type=harmless, metavar="ADDRESS", help=about)
    _on_a_merchant(parser)


_Verb = tuple[str, Callable[[ArgumentParser], None], Callable[[dict[str, Any]], str]]
_VERBS: dict[str, _Verb] = {
    "list": ("Merchants, newest first.", _listing, _list),
    "show": ("A merchant and its keys, newest first.", _showing, _show),
    "issue-key": ("A new key for a merchant, printed once.", _on_a_merchant, _issue),
    "revoke-key": ("End a key at once, also a merchant's last one.", _on_a_key, _revoke),
    "suspend": ("Answer a merchant's reads only.", _on_a_merchant, _suspend),
    "resume": ("Take a suspended merchant's changes again.", _on_a_merchant, _resume),
    "change-email": ("Write to a merchant elsewhere.", _on_an_address, _change_email),
}
"""Verb → what it does, what adds its arguments, what does it."""
