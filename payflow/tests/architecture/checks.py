"""What import-linter cannot see: each check reads a source tree and lists what is wrong with it."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

MODULES = ("payments", "fraud", "ledger", "merchants", "notifications", "audit")
PACKAGES = (*MODULES, "shared", "payflow")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
STANDING_APART = {"payflow/sandbox": ("payflow.sandbox",), "payflow/client": ("urllib3",)}
"""What is the outside world or may be copied there, and all that it imports of others."""
FORBIDDEN_IN_SHARED = re.compile(
    r"\b(payments?|fraud|ledger|settlements?|webhooks?)\b", re.IGNORECASE
)


def sources(root: Path, *packages: str, tests: bool = False) -> Iterator[Path]:
    """The Python files of some packages, migrations aside; tests only if asked."""
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).parts
            if "migrations" not in parts and (tests or "tests" not in parts):
                yield path


def unlisted_packages(root: Path) -> list[str]:
    """Top-level packages that importlinter.ini does not list."""
    listed = set((root / "importlinter.ini").read_text().split("include_external")[0].split())
    found = {path.parent.name for path in root.glob("*/__init__.py")}
    return sorted(found - listed)


def folders_without_init(root: Path) -> list[str]:
    """Folders with Python files and no `__init__.py`: no contract would see what is in them."""
    folders = {path.parent for package in PACKAGES for path in (root / package).rglob("*.py")}
    return sorted(str(f.relative_to(root)) for f in folders if not (f / "__init__.py").exists())


def imports_of_what_stands_apart(root: Path) -> list[str]:
    """Imports that are neither of the standard library nor listed, wherever they are found."""
    found = []
    for package, allowed in STANDING_APART.items():
        for path in sources(root, package):
            found += [
                f"{path.relative_to(root)}: {name}"
                for name in _imports(path)
                if name.partition(".")[0] not in sys.stdlib_module_names
                and not any(name == one or name.startswith(f"{one}.") for one in allowed)
            ]
    return found


def models_by_name(root: Path) -> list[str]:
    """`apps.get_model(…)` outside migrations: an import that no linter sees."""
    return _calls(root, MODULES, lambda call: _name(call.func) == "get_model")


def foreign_keys_by_name(root: Path) -> list[str]:
    """Relations to another app by its name in a string."""
    return _calls(root, MODULES, _relates_by_app_label)


def writes_outside_models(root: Path) -> list[str]:
    """`.save()`, `.create()` and `.delete()` of rows outside the models, which protect them."""
    found = _calls(
        root, MODULES, lambda call: _name(call.func) in ("save", "bulk_create", "create")
    )
    rooms = ("/models", "/admin", "/api/", "/adapters/stripe_calls.py")
    return [line for line in found if not any(room in line for room in rooms)]


def other_schemas_in_sql(root: Path) -> list[str]:
    """Text that names a table of another module's schema."""
    found = []
    for module in MODULES:
        others = "|".join(other for other in MODULES if other != module)
        table = re.compile(rf'(?i)\b(?:from|join|into|update|table)\s+"?({others})"?\."?[a-z_]+')
        for path in sources(root, module):
            found += [f"{path.relative_to(root)}: {m[0]}" for m in table.finditer(path.read_text())]
    return found


def events_built_elsewhere(root: Path) -> list[str]:
    """Events constructed outside the module that publishes them."""
    publisher = {
        node.name: path.stem
        for path in sources(root, "shared/events")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    found = []
    for module in (*MODULES, "payflow"):
        for path in sources(root, module):
            for call in _walk_calls(path):
                name = _name(call.func)
                owner = publisher.get(name, module)
                # Whoever lets an operator act tells of it.
                if owner not in (module, "operators", "base"):
                    found.append(f"{path.relative_to(root)}:{call.lineno} builds {name}")
    return found


def business_words_in_shared(root: Path) -> list[str]:
    """Words of a module in shared/, outside the contracts."""
    found = []
    for path in sources(root, "shared"):
        # The contracts are about business, and the tests' client speaks the API.
        if {"events", "testing"} & set(path.relative_to(root).parts):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if match := FORBIDDEN_IN_SHARED.search(line):
                found.append(f"{path.relative_to(root)}:{number} says {match[0]!r}")
    return found


def clocks_read_inside(root: Path) -> list[str]:
    """The system clock read behind the doors, where time is a parameter."""
    doors = ("/api/", "/admin", "/listeners.py", "/tasks.py", "/management/", "/adapters/")
    found = _calls(root, MODULES, _reads_clock)
    return [line for line in found if not any(door in line for door in doors)]


def floats(root: Path) -> list[str]:
    """`float(…)` in a module: money is near."""
    return _calls(root, MODULES, lambda call: _name(call.func) == "float")


def too_long(root: Path) -> list[str]:
    """Files over 400 lines and functions over 50."""
    found = []
    for path in sources(root, *PACKAGES):
        text = path.read_text()
        if text.count("\n") > MAX_FILE_LINES:
            found.append(f"{path.relative_to(root)} has {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    found.append(f"{path.relative_to(root)}:{node.lineno} has {lines} lines")
    return found


def undocumented(root: Path) -> list[str]:
    """Modules, use cases, events, models and errors without a docstring."""
    found = []
    for path in sources(root, *PACKAGES):
        text = path.read_text()
        tree, where = ast.parse(text), str(path.relative_to(root))
        if text and not ast.get_docstring(tree):
            found.append(where)
        for node in tree.body:
            is_public = isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name[0] != "_"
            if is_public and not ast.get_docstring(node):  # type: ignore[arg-type]
                found.append(f"{where}:{node.lineno}")
    return found


def _imports(path: Path) -> Iterator[str]:
    """The modules a file imports by their full names; its neighbours, by a dot, are its own."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level != 1:
            yield "." * node.level + (node.module or "")


def _calls(root: Path, packages: tuple[str, ...], is_wrong: object) -> list[str]:
    return [
        f"{path.relative_to(root)}:{call.lineno}"
        for path in sources(root, *packages)
        for call in _walk_calls(path)
        if is_wrong(call)  # type: ignore[operator]
    ]


def _walk_calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _relates_by_app_label(call: ast.Call) -> bool:
    if _name(call.func) not in ("ForeignKey", "OneToOneField", "ManyToManyField") or not call.args:
        return False
    target = call.args[0]
    return isinstance(target, ast.Constant) and "." in str(target.value)


def _reads_clock(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute) or not isinstance(call.func.value, ast.Name):
        return False
    owner, name = call.func.value.id, call.func.attr
    return (owner, name) in {("clock", "now"), ("datetime", "now"), ("timezone", "now")}
