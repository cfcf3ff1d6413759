"""Empty gunicorn configuration, to replace gunicorn.conf.py."""
