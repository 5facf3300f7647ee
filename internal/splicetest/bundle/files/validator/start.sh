#!/usr/bin/env bash
# Starts the node. What is not in .env is exported from here, and only while
# this runs. The published script asks Scan for names that the web UIs show;
# this one works without a network.
set -euo pipefail

error() { echo "ERROR: $*" >&2; }
usage() {
  cat >&2 <<USAGE
Usage: $0 -s <sponsor_sv_address> -o <onboarding_secret> -p <party_hint> [-m <migration_id>] [-P <participant_id>]
          [-c <scan_address>] [-C <host_scan_address>] [-i <identities_dump>] [-n <network_name>] [-a] [-M] [-w] [-E] [-k]
USAGE
  exit 1
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
sponsor="" scan="" onboarding=undefined migration="" hint="" participant="" dump="" network=""
auth=0 wait=0
export HOST_BIND_IP=${HOST_BIND_IP:-127.0.0.1}
export ENABLE_PARTICIPANT_DB_CONFLICT_CHECK=true

while getopts 'has:c:C:o:n:m:Mp:P:i:wEk' flag; do
  case $flag in
    a) auth=1 ;;
    s) sponsor=$OPTARG ;;
    c) scan=$OPTARG ;;
    C | M) ;; # nothing to fetch, nothing to migrate
    o) onboarding=$OPTARG ;;
    n) network=$OPTARG ;;
    m) migration=$OPTARG ;;
    p) hint=$OPTARG ;;
    P) participant=$OPTARG ;;
    i) dump=$OPTARG ;;
    w) wait=1 ;;
    E) HOST_BIND_IP=0.0.0.0 ;;
    k) ENABLE_PARTICIPANT_DB_CONFLICT_CHECK=false ;;
    *) usage ;;
  esac
done
[ -n "$sponsor" ] || { error "Please provide the sponsor SV address"; usage; }
[ "$onboarding" != undefined ] || { error 'Please provide the onboarding secret. If you are already onboarded, you may leave it empty: -o ""'; usage; }
[ -n "$hint" ] || { error "Please provide the party hint"; usage; }
[ -z "$migration" ] || [[ "$migration" =~ ^[0-9]+$ ]] || { error "Migration ID must be a non-negative integer"; usage; }
if [ -n "$dump" ] && [ -z "$participant" ]; then
  error "Please provide a new participant identifier when restoring identities from a dump file"
  usage
fi
[ -n "$scan" ] || scan=${sponsor//https:\/\/sv/https:\/\/scan}

export SPONSOR_SV_ADDRESS=$sponsor SCAN_ADDRESS=$scan SEQUENCER_ADDRESS="" ONBOARDING_SECRET=$onboarding
export PARTY_HINT=$hint PARTICIPANT_IDENTIFIER=${participant:-$hint} MIGRATION_ID=$migration
export PARTICIPANT_DB_NAME=participant${migration:+-$migration}
export SPLICE_APP_UI_NETWORK_NAME="Imitation Network"
if [ -z "${IMAGE_TAG:-}" ]; then
  [ -f "$here/../../VERSION" ] || { error "Could not derive image tags automatically, $here/../../VERSION is missing"; exit 1; }
  IMAGE_TAG=$(cat "$here/../../VERSION")
fi
export IMAGE_TAG

files=(-f "$here/compose.yaml")
[ $auth -eq 1 ] || files+=(-f "$here/compose-disable-auth.yaml")
if [ -n "$network" ]; then
  export DOCKER_NETWORK=$network
  files+=(-f "$here/compose-onvpn-network.yaml")
fi
if [ -n "$dump" ]; then
  files+=(-f "$here/compose-restore-from-id.yaml")
  export VALIDATOR_NEW_PARTICIPANT_IDENTIFIER=$PARTICIPANT_IDENTIFIER VALIDATOR_PARTICIPANT_IDENTITIES_DUMP=$dump
fi
[ ! -f "$here/compose-local.yaml" ] || files+=(-f "$here/compose-local.yaml") # the operator's own
more=()
[ $wait -eq 0 ] || more+=(--wait --wait-timeout 600)
exec docker compose "${files[@]}" up -d "${more[@]}"
