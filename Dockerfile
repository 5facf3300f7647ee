# Holdfast with the client programs of Postgres, for a container beside the
# node's. Nothing is compiled or downloaded here but the base:
#
#     make image
#
# BASE brings pg_dump and pg_restore, which refuse servers newer than they are;
# the published image of the newest Postgres serves every node.
ARG BASE=postgres:18
FROM ${BASE} AS clients

# Copied whole, so that the base's volume, ports and entrypoint stay behind.
FROM scratch
COPY --from=clients / /
COPY bin/holdfast /usr/local/bin/holdfast
ENV PATH=/usr/local/bin:/usr/bin:/bin HOLDFAST_CONFIG=/etc/holdfast/holdfast.yaml
WORKDIR /etc/holdfast
# No user of the base. It writes to what is mounted at /var/lib/holdfast, to
# /etc/holdfast during init, and to /tmp.
USER 65532:65532
ENTRYPOINT ["holdfast"]
CMD ["--help"]
