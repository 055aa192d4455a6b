# The operator. Build: buildah bud --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) --timestamp $(git log -1 --format=%ct) .
# Tag and digest are raised together: skopeo inspect docker://docker.io/library/python:3.13-slim --format '{{.Digest}}'
ARG BASE_IMAGE=docker.io/library/python:3.13-slim@sha256:6771159cd4fa5d9bba1258caf0b82e6b73458c694d178ad97c5e925c2d0e1a91
ARG JDK_IMAGE=docker.io/library/eclipse-temurin:17-jdk@sha256:5d6042fb8cdc14d614e4e421f52e3211fc5aeadddce44cbf9de8ed37c791f824
ARG FLINK_IMAGE=docker.io/library/flink:1.20.5-scala_2.12-java17@sha256:5a781c3a3bf694d4befba7709fbc192403a461c2d852fed533587a0970e03f5e
# The runners of SQL and Python jobs are made here, or (given) come from a build context of the name runners.
ARG RUNNER=compiled

FROM ${FLINK_IMAGE} AS flink

FROM ${JDK_IMAGE} AS compiled
COPY --from=flink /opt/flink/lib /flink
COPY operator/runner /sources
COPY operator/pyrunner /modules
RUN mkdir -p /opt/runner \
    && for version in $(ls /modules); do \
        cp "/modules/$version/flinkjob_main.py" "/opt/runner/python-runner-$version.py" || exit 1; \
    done \
    && for version in $(ls /sources); do \
        javac -nowarn -proc:none --release 8 -cp '/flink/*' -d "/classes/$version" $(find "/sources/$version" -name '*.java' | sort) \
        && jar --create --no-manifest --date 2020-01-01T00:00:00Z --file "/opt/runner/sql-runner-$version.jar" -C "/classes/$version" . \
        || exit 1; \
    done

FROM scratch AS given
COPY --from=runners / /opt/runner/

FROM ${RUNNER} AS runner

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
RUN python3 -m venv /build/tools && /build/tools/bin/pip install --quiet --no-compile --require-hashes -r requirements-build.lock \
    && python3 -m venv --without-pip /opt/flinkjob \
    && /build/tools/bin/pip --python /opt/flinkjob/bin/python install --quiet --no-compile --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
ARG SOURCE_DATE_EPOCH=0
RUN /build/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
    && /build/tools/bin/pip --python /opt/flinkjob/bin/python install --quiet --no-compile --no-deps --no-index dist/*.whl \
    && find /opt/flinkjob -name tests -type d -prune -exec rm -rf {} + \
    && /opt/flinkjob/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/flinkjob/lib \
    && find /opt/flinkjob -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="flinkjob-operator" \
      org.opencontainers.image.description="Runs Flink jobs the GitOps way on any Flink cluster" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/flinkjob /opt/flinkjob
COPY --from=runner /opt/runner /opt/flinkjob/runner
ENV PATH=/opt/flinkjob/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["flinkjob-operator"]
