"""What surrounds the code says only what is so: variables, addresses, links, locks, canvases."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from django.urls import Resolver404, resolve

from payflow.runtime.home import PROJECT
from payflow.runtime.parts import ENSURE_ADMIN, MIGRATE, SECRETS, all_parts, sandbox_part
from payflow.tests.contracts.repository import MODULES, texts, variables_read

COMPOSE = (PROJECT / "docker-compose.yml").read_text()
EXAMPLE = (PROJECT / ".env.example").read_text()

# Read by the containers of others, not by our code.
FOREIGN = {"POSTGRES_PASSWORD", "RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"}
# Only ever used to build other values in docker-compose.yml.
PASSWORDS = {"POSTGRES_PASSWORD", "OWNER_PASSWORD", "APP_PASSWORD", "RABBITMQ_PASSWORD"}

set_in_compose = set(re.findall(r"^ +([A-Z][A-Z0-9_]+):", COMPOSE, re.MULTILINE))
asked_by_compose = set(re.findall(r"(?<!\$)\$\{([A-Z][A-Z0-9_]+)", COMPOSE))
named_by_example = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE, re.MULTILINE))


SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
_PARTS = {part.name: part for part in all_parts("http://127.0.0.1:8000", Path("beat"))}
_STEPS = replace(MIGRATE, secrets=MIGRATE.secrets | ENSURE_ADMIN.secrets)
OURS = _PARTS | {
    "web-2": _PARTS["web"],
    "sandbox": sandbox_part(8001, Path("book")),
    "migrate": _STEPS,  # both steps, one after the other
}
# The image and compose say these themselves.
BY_COMPOSE = {"PAYFLOW_PROCESS"} | {
    f"PAYFLOW_METRICS_{name}" for name in ("DIR", "PORT", "ADDRESS")
}
NOT_FOR_CONTAINERS = {
    "PAYFLOW_HOME",  # a directory of the image
    "PAYFLOW_PG_BIN",  # there is no embedded PostgreSQL
    "PAYFLOW_SQL_WALL",  # for tests
    "PORT",  # compose publishes it; inside it is 8000
    "PAYFLOW_DISPATCHERS",  # replicas
    "PAYFLOW_WORKERS",
} | BY_COMPOSE


class TestVariables:
    def test_finds_what_the_code_reads(self) -> None:
        assert {"PORT", "DATABASE_URL", "PAYFLOW_PG_BIN", "PAYFLOW_KEY_RING"} <= variables_read()
        assert "PAYFLOW_NO_SUCH_THING" not in variables_read()

    def test_compose_sets_only_what_somebody_reads(self) -> None:
        assert set_in_compose - variables_read() - FOREIGN - PASSWORDS == set()

    def test_compose_asks_only_for_what_the_example_names(self) -> None:
        assert asked_by_compose - named_by_example == set()

    def test_example_names_only_what_somebody_reads(self) -> None:
        assert named_by_example - variables_read() - asked_by_compose == set()

    def test_example_names_everything_that_is_read(self) -> None:
        assert variables_read() - named_by_example == set()

    def test_example_changes_nothing_when_copied(self) -> None:
        assert [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")] == []

    def test_readme_names_only_what_is_read(self) -> None:
        named = re.findall(
            r"`((?:PAYFLOW|DATABASE|CELERY|EMAIL|REDIS)_[A-Z_]+)`", texts()["README.md"]
        )
        assert named
        assert set(named) <= variables_read()


class TestCompose:
    def test_publishes_on_this_machine_only(self) -> None:
        published = re.findall(r"ports: \[(.+)\]", COMPOSE)
        assert published
        assert all(port.startswith('"127.0.0.1:') for port in published)

    def test_publishes_on_ports_that_can_be_chosen(self) -> None:
        for service in SERVICES.values():
            for port in service.get("ports", []):
                assert re.match(r"127\.0\.0\.1:\$\{[A-Z0-9_]*PORT:-[0-9]+\}:", port), port

    @pytest.mark.parametrize("name", sorted(OURS))
    def test_tells_each_process_the_secrets_of_its_part(self, name: str) -> None:
        part = OURS[name]
        told = set(SERVICES[name]["environment"])
        if part.reads is not None:
            assert told == part.reads
        else:
            assert told & SECRETS == part.secrets

    def test_passes_on_all_that_the_example_names(self) -> None:
        passed = {
            asked
            for name in OURS
            for variable, value in SERVICES[name]["environment"].items()
            for asked in re.findall(r"\$\{([A-Z0-9_]+)", str(value))
            if asked == variable
        }
        assert named_by_example - passed - asked_by_compose - NOT_FOR_CONTAINERS == set()
        assert passed & NOT_FOR_CONTAINERS == set()

    def test_passes_settings_to_every_process_that_reads_settings(self) -> None:
        webs = {"PAYFLOW_WEB_WORKERS", "PAYFLOW_WEB_THREADS", "PAYFLOW_REGISTRATIONS_PER_HOUR"}
        webs |= {"PAYFLOW_TRUSTED_PROXIES"}
        # Production refuses to start without some of what only workers need.
        everybodys = {"EMAIL_HOST", "EMAIL_BACKEND", "DEFAULT_FROM_EMAIL"}
        workers = {name for name in named_by_example if "EMAIL" in name} - everybodys
        sandboxes = {"PAYFLOW_SANDBOX_STRIPE_WEBHOOK_URL"}
        settings = named_by_example & variables_read() - SECRETS - NOT_FOR_CONTAINERS
        for name in set(OURS) - {"sandbox"}:
            others = sandboxes | (set() if name.startswith("web") else webs)
            others |= set() if name == "worker" else workers
            assert settings - others - set(SERVICES[name]["environment"]) == set(), name

    def test_looks_after_the_health_of_all_that_stay(self) -> None:
        unseen = {name for name, service in SERVICES.items() if "healthcheck" not in service}
        assert unseen == {"migrate"}
        assert SERVICES["migrate"]["restart"].startswith("on-failure")

    def test_asks_for_health_where_there_is_some(self) -> None:
        for name, service in SERVICES.items():
            match service.get("healthcheck", {}).get("test", []):
                case ["CMD", "python", "-m", module, *_, url]:
                    import_module(module)
                    path = urlsplit(re.sub(r"\$\{[A-Z_]+:-([0-9]+)\}", r"\1", url)).path
                    assert path == "/" or resolve(path), (name, url)

    def test_counts_in_memory_and_tells_it_where_there_is_no_web(self) -> None:
        for name in ("web", "web-2", "dispatcher", "worker"):
            directory = SERVICES[name]["environment"]["PAYFLOW_METRICS_DIR"]
            assert any(mount.startswith(f"{directory}:") for mount in SERVICES[name]["tmpfs"])
        for name in ("dispatcher", "worker"):
            port = SERVICES[name]["environment"]["PAYFLOW_METRICS_PORT"]
            assert SERVICES[name]["environment"]["PAYFLOW_METRICS_ADDRESS"] == "0.0.0.0"
            assert SERVICES[name]["expose"] == [port]
            assert "ports" not in SERVICES[name]

    def test_keeps_the_book_of_the_sandbox(self) -> None:
        (volume,) = SERVICES["sandbox"]["volumes"]
        name, directory = volume.split(":")
        assert name in yaml.safe_load(COMPOSE)["volumes"]
        assert f"--book={directory}/sandbox.sqlite3" in SERVICES["sandbox"]["command"]
        assert not any(mount.startswith(directory) for mount in SERVICES["sandbox"]["tmpfs"])

    def test_runs_commands_that_exist(self) -> None:
        commands = re.findall(r"manage\.py,? ([a-z_]+)", COMPOSE)
        assert set(commands) == {"dispatch", "migrate", "ensure_admin"}


def shell_blocks(text: str) -> str:
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))


class TestReadme:
    def paths(self) -> list[str]:
        """Paths below `/api/v1` that its shell blocks call, with an id for each variable."""
        blocks = shell_blocks(texts()["README.md"])
        called = re.findall(r"\"\$BASE(/[^\"]+)\"|^get \"(/[^\"]+)\"", blocks, re.MULTILINE)
        nobody = "00000000-0000-7000-8000-000000000000"
        return [re.sub(r"\$[A-Z_]+", nobody, one or two) for one, two in called]

    def test_calls_endpoints_that_exist(self) -> None:
        paths = [path for path in self.paths() if path != "$1"]
        assert len(paths) > 5
        for path in paths:
            resolve(f"/api/v1{path.partition('?')[0]}")

    def test_would_notice_one_that_does_not(self) -> None:
        with pytest.raises(Resolver404):
            resolve("/api/v1/payment/authorise")

    def test_starts_with_commands_that_make_knows(self) -> None:
        commands = set(re.findall(r"\bmake ([a-z]+)\b", shell_blocks(texts()["README.md"])))
        assert {"run", "test"} <= commands
        known = set(re.findall(r"^([a-z]+):.*## ", texts()["Makefile"], re.MULTILINE))
        assert commands <= known


class TestLinks:
    @pytest.mark.parametrize("path", [path for path in texts() if path.endswith(".md")])
    def test_lead_somewhere(self, path: str) -> None:
        directory = (PROJECT / path).parent
        targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", texts()[path])
        lost = [
            target
            for target in targets
            if not target.startswith("https://") and not (directory / target).exists()
        ]
        assert lost == []


class TestRequirements:
    def test_of_production_bring_no_embedded_server(self) -> None:
        assert "pgserver" not in texts()["requirements/production.txt"]

    def test_of_production_have_what_redis_needs_as_a_broker(self) -> None:
        pins = texts()["requirements/production.txt"]
        needed = [line for line in requires("kombu") or [] if 'extra == "redis"' in line]
        assert len(needed) > 1  # it imports `packaging`, which redis does not bring
        for line in needed:
            name = re.split(r"[^A-Za-z0-9._-]", line)[0].lower()
            assert re.search(rf"^{re.escape(name)}==", pins, re.MULTILINE), name

    def test_of_production_have_all_that_is_imported(self) -> None:
        """Imports inside functions are of extras, and say so when there is none."""
        pins = texts()["requirements/production.txt"]
        locked = set(re.findall(r"^([a-z0-9.-]+)(?:\[.+\])?==", pins, re.MULTILINE))
        providers = packages_distributions()
        lost = {
            (path, package)
            for path, package in imported_from_elsewhere()
            if not locked
            & {re.sub("[_.]", "-", name.lower()) for name in providers.get(package, [])}
        }
        assert lost == set()

    def test_image_installs_with_hashes(self) -> None:
        assert "--require-hashes -r /tmp/production.txt" in texts()["Dockerfile"]


def imported_from_elsewhere() -> Iterator[tuple[str, str]]:
    """File and package of each import at the top of a file, save for ours and Python's own."""
    ours = {*MODULES, "payflow", "shared", "__future__", *sys.stdlib_module_names}
    for path, text in texts().items():
        if not path.endswith(".py") or re.search(r"(^|/)tests/|^shared/testing/", path):
            continue
        for node in ast.parse(text).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            yield from (
                (path, name.partition(".")[0])
                for name in names
                if name.partition(".")[0] not in ours
            )


class TestRepository:
    def test_names_no_package_index(self) -> None:
        # In parts, or this file would be the one that does.
        names = ("pypi" + r"\.org", "pythonhosted" + r"\.org", r"--(extra-)?index" + "-url")
        forbidden = re.compile("|".join(names))
        assert [path for path, text in texts().items() if forbidden.search(text)] == []

    def test_has_an_executable_ci_script(self) -> None:
        assert (PROJECT / ".ci" / "run").stat().st_mode & 0o111

    @pytest.mark.parametrize("module", MODULES)
    def test_module_has_a_canvas(self, module: str) -> None:
        canvas = ast.get_docstring(ast.parse(texts()[f"{module}/__init__.py"])) or ""
        assert canvas.startswith(module.capitalize())
        for heading in ("Purpose", "Owns", "Publishes", "Listens to", "HTTP"):
            assert re.search(rf"^{heading}\s", canvas, re.MULTILINE), heading

    @pytest.mark.parametrize("module", MODULES)
    def test_canvas_names_what_the_module_publishes(self, module: str) -> None:
        canvas = import_module(module).__doc__ or ""
        published = re.findall(r"event_type: ClassVar\[str\] = \"(.+)\"", events_of(module))
        assert [name for name in published if name not in canvas] == []


def events_of(module: str) -> str:
    return texts().get(f"shared/events/{module}.py", "")
