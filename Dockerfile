# One image for web, dispatcher, worker, beat and migrations; the command says which.
# It has no embedded PostgreSQL: name one with DATABASE_URL.

FROM python:3.12-slim AS build
RUN python -m venv /opt/venv
COPY requirements/production.txt /tmp/production.txt
RUN /opt/venv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --no-input \
        --only-binary :all: --require-hashes -r /tmp/production.txt
WORKDIR /app
COPY . .
RUN rm -rf requirements && python -m compileall -q .

FROM python:3.12-slim
RUN groupadd --gid 10001 payflow \
    && useradd --uid 10001 --gid payflow --no-create-home --home-dir /var/lib/payflow payflow \
    && install --directory --owner payflow --group payflow --mode 0700 /var/lib/payflow
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PAYFLOW_HOME=/var/lib/payflow \
    PAYFLOW_LOG_FORMAT=json
WORKDIR /app
USER payflow
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["gunicorn", "payflow.runtime.wsgi:application", "-c", "payflow/runtime/gunicorn.py", "--bind", "0.0.0.0:8000"]
