# Serves runs and exported models: Python, the light runtimes and the page, without TensorFlow.
#   docker build -t fmnist .
#   docker run --rm -p 127.0.0.1:7860:7860 --read-only --tmpfs /tmp -v "$PWD/runs:/runs:ro" fmnist latest
FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
WORKDIR /source
COPY requirements-serve.lock ./
RUN /venv/bin/pip install --require-hashes -r requirements-serve.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /venv/bin/pip install --no-deps .

FROM python:3.12-slim
RUN useradd --system --no-create-home --uid 10001 fmnist
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 MPLCONFIGDIR=/tmp XDG_CACHE_HOME=/tmp
USER 10001
WORKDIR /
EXPOSE 7860
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/readyz', timeout=2)"]
ENTRYPOINT ["fmnist", "serve", "--host", "0.0.0.0", "--runs-dir", "/runs"]
CMD ["latest"]
