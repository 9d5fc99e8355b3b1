"""The diagram of modules and the events that go between them."""

from payflow.documentation import facts
from payflow.documentation.markdown import fence
from shared.event_bus import registered


def diagram() -> str:
    """A Mermaid flowchart: an arrow per pair of modules, labelled with the events."""
    nodes = [f'    {module}["{module}"]' for module in facts.modules()]
    arrows = [
        f'    {publisher} -->|"{"<br>".join(names)}"| {hearer}'
        for (publisher, hearer), names in sorted(_told().items())
    ]
    return fence("mermaid", "\n".join(["flowchart LR", *nodes, *arrows, *_everything()]))


def _told() -> dict[tuple[str, str], list[str]]:
    told: dict[tuple[str, str], list[str]] = {}
    for entry in registered.all_listeners():
        if not registered.hears_everything(entry):
            for event in facts.heard_by(entry):
                for publisher in facts.publishers(event):
                    pair = (publisher, facts.owner_of(entry.id))
                    told.setdefault(pair, []).append(_short(event))
    return told


def _everything() -> list[str]:
    hearers = {
        facts.owner_of(e.id) for e in registered.all_listeners() if registered.hears_everything(e)
    }
    return [
        f"    {module} -.-> {hearer}"
        for hearer in sorted(hearers)
        for module in facts.modules()
        if module != hearer
    ]


def _short(event: facts.Event) -> str:
    return " ".join(event.event_type.split(".")[1:])
