"""What gunicorn and the flask command load."""

from todoapp import create_app

app = create_app()
