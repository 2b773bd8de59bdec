# The manager, and what compose.yaml needs beside it.
#
#   docker build -t prefect-mha .                          the manager
#   docker build -t prefect-mha-db --target database .     MariaDB and sshd in one container, for compose.yaml
#
# docs/containers.md says how it is run, and what was tried.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/mha
COPY . /src
RUN /opt/mha/bin/pip install --no-cache-dir --constraint /src/requirements.lock /src \
 && /opt/mha/bin/pip uninstall -y pip setuptools \
 && find /opt/mha -name __pycache__ -type d -prune -exec rm -rf {} + \
 && find /opt/mha/lib -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +

FROM ${BASE} AS database
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      mariadb-server mariadb-client openssh-server iproute2 procps tini \
 && rm -rf /var/lib/apt/lists/* /var/lib/mysql/* /etc/ssh/ssh_host_*
COPY containers/database.sh /usr/local/bin/database
ENTRYPOINT ["tini", "--", "/usr/local/bin/database"]

FROM ${BASE} AS manager
RUN apt-get update && apt-get install -y --no-install-recommends python3 openssh-client tini && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --create-home --home-dir /var/lib/mha mha \
 && install -d -o mha -g mha -m 0700 /var/lib/mha/.ssh \
 && install -d -o mha -g mha /var/log/mha /etc/mha
COPY --from=build /opt/mha /opt/mha
ENV PATH=/opt/mha/bin:$PATH MHA_CONF=/etc/mha/app1.cnf PREFECT_HOME=/var/lib/mha/.prefect PYTHONUNBUFFERED=1
USER mha
WORKDIR /var/lib/mha
VOLUME /var/lib/mha
# 0 is PING_OK; a manager that stands by, or has a failover under way, is as healthy: 40 and 50.
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=3 \
  CMD masterha_check_status --conf="$MHA_CONF" || case $? in 40|50) ;; *) exit 1 ;; esac
# SIGTERM lets a failover that is under way be finished: give it time (docker stop --time, stop_grace_period).
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--"]
CMD ["sh", "-c", "exec mha monitor --conf=\"$MHA_CONF\""]
