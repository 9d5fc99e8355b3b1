"""Every kind of schema change, as data: what is there before, and what changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.models import F, Q
from django.db.models.functions import Lower

NameTable = Callable[[str], str]


@dataclass(frozen=True)
class Case:
    """
    A change of models.

    `stock_fails`: on tables in a schema, Django's own engine does something else or nothing.
    """

    change: Sequence[Operation]
    prepare: Sequence[Operation] = field(default=())
    stock_fails: bool = False


def base_models(table: NameTable) -> list[Operation]:
    """A parent and a child that every case starts from."""
    return [
        migrations.CreateModel(
            "Parent",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("code", models.CharField(max_length=9)),
            ],
            {"db_table": table("parent")},
        ),
        migrations.CreateModel(
            "Child",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("parent", _fk()),
                ("amount", models.IntegerField()),
                ("reference", models.CharField(max_length=9)),
            ],
            {"db_table": table("child")},
        ),
    ]


def _alter(name: str, to: "models.Field[Any, Any]", model: str = "child") -> Operation:
    return migrations.AlterField(model, name, to)


def _index(*fields: str, **options: Any) -> models.Index:
    return models.Index(*options.pop("expressions", ()), fields=fields, name="child_idx", **options)


def _fk(**options: Any) -> "models.Field[Any, Any]":
    return models.ForeignKey("scratch.Parent", models.CASCADE, **options)


def _on_and_off(
    name: str, on: Operation, off: Operation, *, stock_fails: bool = True
) -> dict[str, Case]:
    return {
        f"{name} on": Case([on], stock_fails=stock_fails),
        f"{name} off": Case([off], prepare=[on], stock_fails=stock_fails),
    }


def _index_cases(name: str, index: models.Index) -> dict[str, Case]:
    return _on_and_off(
        name,
        migrations.AddIndex("child", index),
        migrations.RemoveIndex("child", "child_idx"),
    )


def _constraint_cases(
    name: str, constraint: models.BaseConstraint, *, stock_fails: bool
) -> dict[str, Case]:
    return _on_and_off(
        name,
        migrations.AddConstraint("child", constraint),
        migrations.RemoveConstraint("child", "child_rule"),
        stock_fails=stock_fails,
    )


def _unique(*expressions: Any, **options: Any) -> models.UniqueConstraint:
    return models.UniqueConstraint(*expressions, name="child_rule", **options)


_BASE_AMOUNT = models.IntegerField()
_BASE_REFERENCE = models.CharField(max_length=9)
_POSITIVE = models.CheckConstraint(condition=Q(amount__gt=0), name="child_rule")
_DOUBLE = models.GeneratedField(
    expression=F("amount") * 2, output_field=models.IntegerField(), db_persist=True
)
_ADD_INDEX = migrations.AddIndex("child", _index("amount"))


def _through(table: NameTable) -> Operation:
    return migrations.CreateModel(
        "Link",
        [
            ("id", models.BigAutoField(primary_key=True)),
            ("child", models.ForeignKey("scratch.Child", models.CASCADE)),
            ("parent", models.ForeignKey("scratch.Parent", models.CASCADE)),
        ],
        {"db_table": table("link")},
    )


def schema_cases(table: NameTable) -> dict[str, Case]:
    """All cases, on tables named by the given function."""
    return {
        **_indexes(),
        **_uniqueness(),
        **_rules_and_foreign_keys(),
        **_columns(),
        **_tables(table),
    }


def _indexes() -> dict[str, Case]:
    return {
        **_index_cases("index", _index("amount")),
        **_index_cases("partial index", _index("amount", condition=Q(amount__gt=5))),
        **_index_cases("covering index", _index("amount", include=["reference"])),
        **_index_cases("expression index", _index(expressions=[Lower("reference")])),
        "rename index": Case(
            [migrations.RenameIndex("child", "child_other_idx", old_name="child_idx")],
            prepare=[_ADD_INDEX],
            stock_fails=True,
        ),
        **_on_and_off(
            "db_index",
            _alter("amount", models.IntegerField(db_index=True)),
            _alter("amount", _BASE_AMOUNT),
        ),
        **_on_and_off(
            "db_index of a text",
            _alter("reference", models.CharField(max_length=9, db_index=True)),
            _alter("reference", _BASE_REFERENCE),
        ),
    }


def _uniqueness() -> dict[str, Case]:
    return {
        **_on_and_off(
            "unique",
            _alter("amount", models.IntegerField(unique=True)),
            _alter("amount", _BASE_AMOUNT),
        ),
        **_on_and_off(
            "unique of a text",
            _alter("reference", models.CharField(max_length=9, unique=True)),
            _alter("reference", _BASE_REFERENCE),
        ),
        **_on_and_off(
            "unique_together",
            migrations.AlterUniqueTogether("child", {("amount", "reference")}),
            migrations.AlterUniqueTogether("child", set()),
        ),
        **_constraint_cases("unique constraint", _unique(fields=["amount"]), stock_fails=False),
        **_constraint_cases(
            "unique constraint, nulls equal",
            _unique(fields=["amount"], nulls_distinct=False),
            stock_fails=False,
        ),
        **_constraint_cases(
            "unique constraint, deferred",
            _unique(fields=["amount"], deferrable=models.Deferrable.DEFERRED),
            stock_fails=False,
        ),
        **_constraint_cases(
            "unique constraint, conditional",
            _unique(fields=["amount"], condition=Q(amount__gt=5)),
            stock_fails=True,
        ),
        **_constraint_cases(
            "unique constraint, covering",
            _unique(fields=["amount"], include=["reference"]),
            stock_fails=True,
        ),
        **_constraint_cases(
            "unique constraint, expression", _unique(Lower("reference")), stock_fails=True
        ),
    }


def _rules_and_foreign_keys() -> dict[str, Case]:
    return {
        **_constraint_cases("check constraint", _POSITIVE, stock_fails=False),
        **_on_and_off(
            "foreign key column",
            migrations.AddField("child", "other", _fk(null=True, related_name="others")),
            migrations.RemoveField("child", "other"),
            stock_fails=False,
        ),
        "foreign key constraint off": Case(
            [_alter("parent", _fk(db_constraint=False))], stock_fails=True
        ),
        "foreign key constraint on": Case(
            [_alter("parent", _fk())],
            prepare=[_alter("parent", _fk(db_constraint=False))],
            stock_fails=True,
        ),
        "foreign key index off": Case([_alter("parent", _fk(db_index=False))], stock_fails=True),
        "foreign key to one-to-one": Case(
            [_alter("parent", models.OneToOneField("scratch.Parent", models.CASCADE))],
            stock_fails=True,
        ),
        "rename foreign key": Case(
            [migrations.RenameField("child", "parent", "owner")],
            stock_fails=True,
        ),
    }


def _columns() -> dict[str, Case]:
    return {
        "rename field": Case([migrations.RenameField("child", "amount", "cents")]),
        "integer to bigint": Case([_alter("amount", models.BigIntegerField())]),
        "integer to text": Case([_alter("amount", models.TextField())]),
        "null": Case([_alter("amount", models.IntegerField(null=True))]),
        "indexed varchar to text": Case(
            [_alter("reference", models.TextField(db_index=True))],
            prepare=[_alter("reference", models.CharField(max_length=9, db_index=True))],
            stock_fails=True,
        ),
        "unique varchar to integer": Case(
            [_alter("reference", models.IntegerField(unique=True))],
            prepare=[_alter("reference", models.CharField(max_length=9, unique=True))],
            stock_fails=True,
        ),
        "check of a type": Case(
            [_alter("amount", models.PositiveIntegerField())], stock_fails=True
        ),
        "default": Case([migrations.AddField("child", "size", models.IntegerField(default=7))]),
        "database default": Case([_alter("amount", models.IntegerField(db_default=7))]),
        "generated field on": Case([migrations.AddField("child", "double", _DOUBLE)]),
        "generated field off": Case(
            [migrations.RemoveField("child", "double")],
            prepare=[migrations.AddField("child", "double", _DOUBLE)],
        ),
        "bigger identity": Case(
            [_alter("id", models.BigAutoField(primary_key=True), "parent")],
            prepare=[_alter("id", models.AutoField(primary_key=True), "parent")],
            stock_fails=True,
        ),
        "identity off": Case(
            [_alter("id", models.BigIntegerField(primary_key=True), "parent")],
        ),
        "identity on": Case(
            [_alter("id", models.BigAutoField(primary_key=True), "parent")],
            prepare=[_alter("id", models.BigIntegerField(primary_key=True), "parent")],
        ),
        "column comment": Case([_alter("amount", models.IntegerField(db_comment="in cents"))]),
    }


def _tables(table: NameTable) -> dict[str, Case]:
    through = _through(table)
    return {
        "create table and rename its field": Case(
            [through, migrations.RenameField("link", "child", "kid")]
        ),
        "rename table": Case(
            [migrations.AlterModelTable("child", table("kid"))],
            stock_fails=True,
        ),
        "rename table and index it": Case(
            [_ADD_INDEX, migrations.AlterModelTable("child", table("kid"))],
            stock_fails=True,
        ),
        "create table and rename it": Case(
            [through, migrations.AlterModelTable("link", table("tie"))],
            stock_fails=True,
        ),
        "rename model": Case(
            [
                migrations.RenameModel("Parent", "Guardian"),
                migrations.AddField("child", "size", models.IntegerField(default=7)),
            ],
        ),
        "table comment": Case([migrations.AlterModelTableComment("child", "Who's asking?")]),
        "many-to-many with a through table": Case(
            [
                through,
                migrations.AddField(
                    "child",
                    "parents",
                    models.ManyToManyField(
                        "scratch.Parent", through="scratch.Link", related_name="kids"
                    ),
                ),
            ],
        ),
        "delete a model": Case([migrations.DeleteModel("child")]),
    }
