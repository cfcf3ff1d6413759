"""A todo in requests and responses."""

from rest_framework import serializers

from .models import Todo


class TodoSerializer(serializers.ModelSerializer):
    """Serialize the five fields."""

    class Meta:
        model = Todo
        fields = ("id", "description", "completed", "created_at", "updated_at")
