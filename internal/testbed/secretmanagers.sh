#!/bin/sh
# Checks the managers of secrets against what is not ours, before a release:
#
#     internal/testbed/secretmanagers.sh clients   the vendors' own clients speak to our stand-ins
#     internal/testbed/secretmanagers.sh vault     we speak to a real core of Vault
#
# Neither is part of the module: their dependencies are many. The first takes some
# minutes to compile, the second twenty on two cores.

set -eu

here=$(cd "$(dirname "$0")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
what=${1:?"clients or vault"}
work=${HOLDFAST_TESTBED:-/var/cache/holdfast-testbed}/secretmanagers-$what
mkdir -p "$work"
cd "$work"
rm -f ./*.go go.mod go.sum
sed '/^\/\/go:build ignore$/d' "$here/secretmanagers/${what}_test.go" >"${what}_test.go"

case $what in
clients)
  cat >go.mod <<E2
module releasecheck

go 1.26.0
E2
  go mod edit -replace "holdfast=$root" -require holdfast@v0.0.0 \
    -require github.com/hashicorp/vault/api@v1.23.0 \
    -require github.com/openbao/openbao/api/v2@v2.7.1 \
    -require github.com/aws/aws-sdk-go-v2/service/secretsmanager@v1.50.12 \
    -require github.com/aws/aws-sdk-go-v2/credentials@v1.20.1 \
    -require cloud.google.com/go/secretmanager@v1.24.0 \
    -require github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets@v1.5.1
  go mod tidy
  ;;
vault)
  # Vault replaces modules within its own tree, and needs a version of its sdk that
  # was not published: these two go together.
  vault=v1.21.4 sdk=v0.20.0
  go mod download "github.com/hashicorp/vault@$vault"
  file=$(go env GOMODCACHE)/cache/download/github.com/hashicorp/vault/@v/$vault.mod
  sed -e 's#^module .*#module releasecheck#' -e '/=> \.\//d' "$file" >go.mod
  go get "github.com/hashicorp/vault@$vault"
  go mod edit -replace "github.com/hashicorp/vault/sdk=github.com/hashicorp/vault/sdk@$sdk" \
    -replace "holdfast=$root" -require holdfast@v0.0.0
  ;;
*)
  echo "secretmanagers: want clients or vault" >&2
  exit 2
  ;;
esac
CGO_ENABLED=0 go test -mod=mod -count=1 -v .
