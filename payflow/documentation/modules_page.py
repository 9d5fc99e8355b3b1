"""`docs/modules.md`: what each module is for, what it owns, and who talks to whom."""

from collections.abc import Iterable, Iterator

from payflow.documentation import facts
from payflow.documentation.diagram import diagram
from payflow.documentation.facts import PROJECT, SHARED, Event
from payflow.documentation.markdown import NOTICE, anchor, bullets, code, codes, page, table
from shared.event_bus import registered
from shared.events.schema import name_of

_INTRODUCTION = """\
PayFlow is a handful of modules in one Django project. Each owns the PostgreSQL schema of its name,
and no module imports another or reads another's tables: what one must tell the others it publishes
as an [event](events.md). `payflow` is the only place where modules meet; `shared` holds the event
contracts and the event bus and knows no module. Why:
[ADR 1](adr/0001-modules-and-schemas.md), [ADR 2](adr/0002-events-only.md).

Addresses stand below `/api/v1`, except `/` and `/metrics`. A listener and a kind of outside work
are named by the id that is stored with their rows."""

_HOW_TO_READ = """\
An arrow is an event: it is written in the transaction of what happened, and the module at the
arrow's head does its part in a transaction of its own, once, in the order of the story."""

_GROUND = {
    PROJECT: "The project: it wires the modules together and answers what none of them can alone.",
    SHARED: "The ground: event contracts, the event bus, idempotency, rate limits.",
}


def written() -> str:
    """The document."""
    modules = facts.modules()
    return page(
        NOTICE,
        "# Modules",
        _INTRODUCTION,
        table(("module", "in one line"), ([_link(m), facts.headline(m)] for m in modules)),
        "## Who talks to whom",
        _HOW_TO_READ,
        diagram(),
        _who_hears_everything(),
        table(("event", "publisher", "listeners"), map(_line_of_event, facts.events())),
        *(part for module in modules for part in _canvas(module)),
        *(part for ground in (PROJECT, SHARED) for part in _ground(ground)),
    )


def _canvas(module: str) -> Iterator[str]:
    yield f"## {module}"
    yield f"*{facts.headline(module)}*"
    yield facts.canvas_section(module, "Purpose")
    yield _tables(module)
    yield _titled("Publishes", map(_event_link, facts.published_by(module)))
    yield _titled("Listens to", map(_line_of_listener, facts.listeners_of(module)))
    yield from _work(module)
    yield from _doors(module)


def _ground(package: str) -> Iterator[str]:
    yield f"## {package}"
    yield _GROUND[package]
    if package == SHARED:
        yield _tables(package)
    yield _titled("Listens to", map(_line_of_listener, facts.listeners_of(package)))
    yield from _work(package)
    yield from _doors(package)


def _tables(module: str) -> str:
    rows = ([code(row.name), row.text] for row in facts.tables(module))
    return f"**Owns** the schema {code(module)}:\n\n{table(('table', 'a row is'), rows)}"


def _work(module: str) -> Iterator[str]:
    intents = [i for i in registered.all_intents() if facts.owner_of(i.id) == module]
    jobs = [job for job in registered.all_jobs() if facts.owner_of(job.id) == module]
    yield _titled("Outside work", map(_line_of_intent, intents))
    yield _titled("Jobs of the clock", map(_line_of_job, jobs))


def _doors(module: str) -> Iterator[str]:
    yield _titled("HTTP", (f"{code(r.name)}: {r.text}" for r in facts.routes(module)))
    commands = facts.commands(module)
    yield _titled("Commands", (f"{code('manage.py ' + c.name)}: {c.text}" for c in commands))


def _titled(title: str, lines: Iterable[str]) -> str:
    listed = bullets(lines)
    return f"**{title}**\n\n{listed}" if listed else ""


def _line_of_listener(entry: registered.Listener) -> str:
    if registered.hears_everything(entry):
        return f"{code(entry.id)}: every event"
    heard = "".join(f"\n  - {_event_link(event)}" for event in facts.heard_by(entry))
    return f"{code(entry.id)}:{heard}"


def _line_of_intent(intent: registered.Intent) -> str:
    rows = intent.rows._meta.db_table.replace('"', "")
    return (
        f"{code(intent.id)}: {facts.first_sentence(intent.run)} Its rows are {code(rows)}; run by"
        f" {_RUNNERS[intent.runs_in.value]}, with a lease of {intent.lease_seconds} seconds."
    )


_RUNNERS = {"dispatcher": "the dispatcher", "celery": "Celery"}


def _line_of_job(job: registered.Job) -> str:
    text = facts.first_sentence(job.function)
    return f"{code(job.id)}, {registered.rhythm(job)}: {text}"


def _line_of_event(event: Event) -> list[str]:
    hearing = {
        facts.owner_of(entry.id)
        for entry in registered.all_listeners()
        if not registered.hears_everything(entry) and event in facts.heard_by(entry)
    }
    return [_event_link(event), ", ".join(facts.publishers(event)), ", ".join(sorted(hearing))]


def _who_hears_everything() -> str:
    ids = [e.id for e in registered.all_listeners() if registered.hears_everything(e)]
    return f"{codes(ids)} hears every event and is left out of this table." if ids else ""


def _event_link(event: Event) -> str:
    return f"[{event.event_type}](events.md{anchor(name_of(event))})"


def _link(module: str) -> str:
    return f"[{module}]({anchor(module)})"
