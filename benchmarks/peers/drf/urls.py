"""URL configuration."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter
from todos.views import TodoViewSet

router = SimpleRouter(trailing_slash=False)
router.register("todos", TodoViewSet)

urlpatterns = [path("api/", include(router.urls))]
