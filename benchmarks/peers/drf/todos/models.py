"""Todo model."""

from django.db import models


class Todo(models.Model):
    """A todo, in an existing table."""

    id = models.AutoField(primary_key=True)
    description = models.CharField(max_length=500)
    completed = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        managed = False
        db_table = "todos"
        ordering = ("id",)

    def __str__(self) -> str:
        return self.description
