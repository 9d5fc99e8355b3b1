from django.db import models

from shared.postgres.naming import schema_table


class Author(models.Model):
    name = models.CharField(max_length=50)

    class Meta:
        app_label = "sample"
        db_table = schema_table("sample", "author")

    def __str__(self) -> str:
        return self.name


class Entry(models.Model):
    append_only = frozenset({"UPDATE", "DELETE"})

    author = models.ForeignKey(Author, on_delete=models.PROTECT)
    text = models.CharField(max_length=50, unique=True)

    class Meta:
        app_label = "sample"
        db_table = schema_table("sample", "entry")

    def __str__(self) -> str:
        return self.text
