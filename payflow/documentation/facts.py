"""What the code says about its modules, gathered from where it is declared."""

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import get_commands
from django.urls import URLPattern, URLResolver, get_resolver

from shared.event_bus import registered
from shared.events import catalogue
from shared.events.base import DomainEvent

Event = type[DomainEvent]
SHARED = "shared"
PROJECT = "payflow"
_API = "/api/v1"


@dataclass(frozen=True)
class Described:
    """Something with a name, and what its docstring says first."""

    name: str
    text: str


def modules() -> list[str]:
    """The modules, in the order in which the settings list them."""
    return list(settings.MODULES)


def canvas(module: str) -> str:
    """What the module's docstring says."""
    return inspect.getdoc(import_module(module)) or ""


def headline(module: str) -> str:
    """The first line of a module's canvas, without its name."""
    return _begun(canvas(module).splitlines()[0].partition(": ")[2])


def canvas_section(module: str, heading: str) -> str:
    """What stands behind a heading of a module's canvas."""
    lines = canvas(module).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{heading} "))
    rest = [lines[start].removeprefix(heading)]
    for line in lines[start + 1 :]:
        if not line.startswith(" "):
            break
        rest.append(line)
    return " ".join(" ".join(rest).split())


def events() -> list[Event]:
    """Every event there is, by name and version."""
    return sorted(catalogue.contracts(), key=lambda event: (event.event_type, event.version))


def publishers(event: Event) -> list[str]:
    """Who publishes an event: its module, or whoever's canvas says so if it is nobody's own."""
    owner = event.__module__.rpartition(".")[2]
    if owner in modules():
        return [owner]
    return [m for m in modules() if event.event_type in canvas_section(m, "Publishes")] + [SHARED]


def published_by(module: str) -> list[Event]:
    """The events that a module publishes."""
    return [event for event in events() if module in publishers(event)]


def listeners_of(module: str) -> list[registered.Listener]:
    """The listeners of a module."""
    return [entry for entry in registered.all_listeners() if owner_of(entry.id) == module]


def heard_by(entry: registered.Listener) -> list[Event]:
    """The events that a listener takes."""
    return [event for event in events() if issubclass(event, entry.events)]


def owner_of(work_id: str) -> str:
    """The module that a listener, an intent or a job belongs to: its id begins with it."""
    return work_id.partition(".")[0]


def tables(module: str) -> list[Described]:
    """The tables of a module, each with what one of its rows is."""
    rows = apps.get_app_config(module).get_models()
    found = [Described(row._meta.db_table.replace('"', ""), first_sentence(row)) for row in rows]
    return sorted(found, key=lambda table: table.name)


def commands(module: str) -> list[Described]:
    """The commands of `manage.py` that live in a module."""
    names = sorted(name for name, app in get_commands().items() if app == module)
    return [Described(name, _purpose(module, name)) for name in names]


def routes(module: str) -> list[Described]:
    """The addresses of the API whose views live in a module, by method."""
    found = [
        Described(f"{method.upper()} {address}", _told_of(view, method))
        for address, view in _views(get_resolver().url_patterns, "/")
        if owner_of(view.__module__) == module
        for method in view.http_method_names
        if method not in ("options", "head") and hasattr(view, method)
    ]
    return sorted(found, key=lambda route: route.name.split()[::-1])


def first_sentence(documented: Any) -> str:
    """The first paragraph of a docstring, as one line."""
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())


def _purpose(module: str, command: str) -> str:
    line = first_sentence(import_module(f"{module}.management.commands.{command}"))
    return _begun(line.partition(": ")[2] if line.startswith("`") else line)


def _told_of(view: Any, method: str) -> str:
    thing, verb = first_sentence(view), first_sentence(getattr(view, method))
    return f"{thing} {_begun(verb)}"


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _views(patterns: Iterable[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        address = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if not pattern.app_name:  # the admin has pages, not an API
                yield from _views(pattern.url_patterns, address)
        elif isinstance(pattern, URLPattern) and (view := _view_of(pattern)):
            yield _readable(address), view


def _view_of(pattern: URLPattern) -> Any:
    return getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)


def _readable(address: str) -> str:
    named = re.sub(r"<(?:\w+:)?(\w+)>", lambda match: f"{{{_camel(match[1])}}}", address)
    return named.removeprefix(_API)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
