#!/usr/bin/env bash
# plan.sh OVERLAY REQUEST: prints what a pull request would do to the database of an overlay's environment, on standard output.
#
# It applies the overlay's migration under the name pr-REQUEST with `mode: Plan`, which only reads, waits for the plan, prints it, and
# deletes that migration again. Nothing else of the overlay is applied: Secrets and PodTemplates are those that are there. It needs
# the rights of an author of migrations in the namespace, and those to delete them and to read ConfigMaps.
set -euo pipefail
overlay=$(cd "$1" && pwd)
request=$2
work=$(mktemp -d "$overlay/../plan.XXXXXX")
namespace=""
cleanup() {
  [ -z "$namespace" ] || kubectl delete schemamigration "pr-$request" --namespace "$namespace" --ignore-not-found >&2
  rm -rf "$work"
}
trap cleanup EXIT
cat > "$work/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../$(basename "$overlay")]
patches:
- target: {kind: SchemaMigration}
  options: {allowNameChange: true}
  patch: |-
    - {op: replace, path: /metadata/name, value: pr-$request}
    - {op: add, path: /metadata/labels, value: {holdfast.dev/pull-request: "$request"}}
    - {op: add, path: /spec/mode, value: Plan}
END
kubectl kustomize "$work" > "$work/all.yaml"
mine=(--selector "holdfast.dev/pull-request=$request" --filename "$work/all.yaml")
namespace=$(kubectl create --dry-run=client "${mine[@]}" --output 'jsonpath={.metadata.namespace}')
kubectl apply "${mine[@]}" >&2
kubectl wait --for=condition=Finished "schemamigration/pr-$request" --namespace "$namespace" --timeout=10m >&2
if ! kubectl-holdfast plan "pr-$request" --namespace "$namespace"; then
  kubectl-holdfast status "pr-$request" --namespace "$namespace" >&2
  exit 1
fi
