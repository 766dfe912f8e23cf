# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /src
# Cargo.toml decides what must be built anew: an edit of the sources keeps the dependencies (librdkafka, OpenSSL).
COPY Cargo.toml Cargo.lock rust-toolchain.toml build.rs ./
COPY benches benches
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked --features tls --bin faultline
COPY src src
COPY rules rules
RUN touch build.rs src/lib.rs src/main.rs && cargo build --release --locked --features tls --bin faultline

FROM debian:bookworm-slim
# For TLS to the brokers; librdkafka links the system's zlib.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates zlib1g \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin faultline
WORKDIR /etc/faultline
COPY config config
COPY rules rules
COPY --from=build /src/target/release/faultline /usr/local/bin/faultline
USER 10001
# A container's loopback cannot be reached from outside of it.
ENV FAULTLINE_HTTP__LISTEN=0.0.0.0:9464
EXPOSE 9464
# No shell in between: SIGTERM reaches the program, which then finishes its batch.
ENTRYPOINT ["faultline"]
CMD ["run"]
