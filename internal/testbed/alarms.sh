#!/bin/sh
# Prometheus, promtool and Alertmanager for the tests of alarms: those of the
# distribution, installed where they are missing. No daemon is started.
set -eu
have() { command -v "$1" >/dev/null 2>&1; }
root=
[ "$(id -u)" = 0 ] || root=sudo
if ! have promtool || ! have prometheus-alertmanager; then
  $root apt-get update -q >&2
  $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends prometheus prometheus-alertmanager >&2
  for service in prometheus prometheus-alertmanager; do
    if have systemctl; then $root systemctl disable --now "$service" >&2 || true; fi
  done
fi
