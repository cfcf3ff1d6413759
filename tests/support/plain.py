"""A gunicorn configuration without settings: in place of gunicorn.conf.py."""
