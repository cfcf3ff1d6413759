"""View set of /api/todos."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.filters import SearchFilter
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ModelViewSet

from .models import Todo
from .serializers import TodoSerializer


class ArrayPagination(LimitOffsetPagination):
    """Pagination that returns a bare array, so no total has to be counted."""

    def paginate_queryset(
        self, queryset: QuerySet[Todo], request: Request, view: Any = None
    ) -> list[Todo] | None:
        """Return the requested page, or None without `limit`."""
        limit = self.get_limit(request)
        if limit is None:
            return None
        offset = self.get_offset(request)
        return list(queryset[offset : offset + limit])

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page without a wrapper."""
        return Response(data)


class TodoViewSet(ModelViewSet):
    """CRUD routes."""

    queryset = Todo.objects.all()
    serializer_class = TodoSerializer
    pagination_class = ArrayPagination
    filter_backends = (SearchFilter,)
    search_fields = ("description",)
