FROM python:3.13-slim
COPY . /src
RUN /src/always-on/install /opt/lake && rm -rf /src \
    && useradd --create-home lake && install --directory --owner lake /data
USER lake
ENV LAKE_URL=/data/lake SECRETS_URL=/data/secrets
VOLUME /data
EXPOSE 8000
# A container has to listen beyond its own loopback; compose.yaml publishes it on this computer's alone.
CMD ["/opt/lake/bin/lake", "serve", "--host", "0.0.0.0", "--port", "8000", "--plain-http"]
