# The service as a container image. `docker run todoapp` is the web process of the Procfile,
# `docker run todoapp flask db upgrade` its release step. See docs/deployment.md.

# Any Debian with Python 3.11 or later.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS packages
COPY requirements.txt .
RUN python3 -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements.txt \
    && /venv/bin/pip uninstall --yes pip setuptools

FROM ${BASE}
RUN useradd --system --uid 10001 --no-create-home todos
COPY --from=packages /venv /venv
WORKDIR /app
COPY . .
ENV PATH=/venv/bin:$PATH PORT=8000
# By number, so that Kubernetes can verify that it is not root.
USER 10001
EXPOSE 8000
# Not by urllib, which would ask the proxy of the environment.
HEALTHCHECK --start-period=20s CMD ["python3", "-c", "import http.client, os; c = http.client.HTTPConnection('localhost', os.environ['PORT'], timeout=5); c.request('GET', '/health/live'); exit(c.getresponse().status != 200)"]
CMD ["gunicorn", "wsgi:app"]
