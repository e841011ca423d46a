# faceemo's web page and API, with the network that comes with faceemo.
#
#     docker build -t faceemo . && docker run --rm -p 8000:8000 faceemo
#
# http://localhost:8000/ then shows the page. Another network is served by
#
#     docker run --rm -p 8000:8000 -v $PWD/checkpoints:/runs:ro -e NETWORK=/runs/RUN faceemo

FROM python:3.12-slim AS build
WORKDIR /source
RUN python -m venv /opt/faceemo
ENV PATH=/opt/faceemo/bin:$PATH
COPY . .
RUN pip install --no-cache-dir .

FROM python:3.12-slim
# The face detector is fetched now, so that the server needs no network; compiled programs stay, too.
ENV PATH=/opt/faceemo/bin:$PATH \
    FACEEMO_CACHE=/var/cache/faceemo \
    NETWORK=builtin \
    HOST=0.0.0.0 \
    PORT=8000
RUN useradd --system --create-home --home-dir /var/cache/faceemo faceemo
COPY --from=build /opt/faceemo /opt/faceemo
USER faceemo
WORKDIR /var/cache/faceemo
COPY --chown=faceemo docs/images/astronaut.jpg astronaut.jpg
RUN faceemo predict builtin astronaut.jpg
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD python -c "import os, urllib.request as web; web.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/api/health', timeout=4)"
STOPSIGNAL SIGINT
CMD exec faceemo serve "$NETWORK" --host "$HOST" --port "$PORT"
