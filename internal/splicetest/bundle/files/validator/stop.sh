#!/usr/bin/env bash
# Takes the node down. Its volumes stay.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Values that nothing reads, so that compose does not warn.
for variable in SPONSOR_SV_ADDRESS ONBOARDING_SECRET SCAN_ADDRESS MIGRATION_ID IMAGE_TAG PARTICIPANT_DB_NAME SPLICE_APP_UI_NETWORK_NAME \
  VALIDATOR_NEW_PARTICIPANT_IDENTIFIER; do
  export "$variable="
done
export VALIDATOR_PARTICIPANT_IDENTITIES_DUMP=/dev/null
docker compose -f "$here/compose.yaml" -f "$here/compose-restore-from-id.yaml" down
# The published script names the volume wrongly, and so does this one.
echo "INFO: Validator stopped. Note that its data is persisted in the compose_postgres-splice volume, and will be reused if started again."
