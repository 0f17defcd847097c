#!/usr/bin/env bash
# Makes the sample's Secrets in a namespace: random passwords, and a certificate authority with a server certificate that carries
# the names of the Service `mysql`. Nothing secret is ever an argument. Secrets that exist are left alone, for the server's
# accounts have their passwords: to start over, delete the namespace.
#
#   deploy/sample/secrets.sh NAMESPACE        (KUBECTL names another kubectl)
set -euo pipefail

namespace=${1:?usage: $0 NAMESPACE}
kubectl=${KUBECTL:-kubectl}
command -v openssl >/dev/null || { echo "$0: openssl is missing" >&2; exit 1; }

if "$kubectl" -n "$namespace" get secret mysql-root -o name --ignore-not-found | grep -q .; then
  echo "the Secrets are in namespace $namespace already"
  exit 0
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
umask 077
cd "$folder"

password() { openssl rand -hex 24; }
# secret NAME KEY=FILE...
secret() {
  local name=$1 arguments=()
  shift
  for pair in "$@"; do arguments+=(--from-file="$pair"); done
  "$kubectl" -n "$namespace" create secret generic "$name" "${arguments[@]}" --dry-run=client --output=yaml |
    "$kubectl" -n "$namespace" apply --server-side --field-manager=sample-secrets --filename=-
}

openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -keyout ca.key -out ca.crt -subj "/CN=sample database authority" \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" 2>openssl.log ||
  { cat openssl.log >&2; exit 1; }
names="DNS:mysql,DNS:mysql.$namespace,DNS:mysql.$namespace.svc,DNS:mysql.$namespace.svc.cluster.local,DNS:localhost,IP:127.0.0.1"
cat >server.cnf <<END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = $names
END
{
  openssl req -newkey rsa:2048 -nodes -keyout tls.key -out server.csr -subj "/CN=mysql" &&
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile server.cnf -out tls.crt
} 2>openssl.log || { cat openssl.log >&2; exit 1; }

for account in root migrator application owner; do
  printf %s "$account" >"$account.username"
  password | tr -d '\n' >"$account.password"
done

# The accounts, for the server's first start. Passwords are hexadecimal: no quoting can go wrong.
{
  cat <<END
-- What Holdfast's engine needs: changes of rows and schema in the database, its own schema for journal and quarantine, and a view of
-- other sessions. The rights to see views, triggers, events and routines are for the backup.
CREATE USER 'migrator'@'%' IDENTIFIED BY '$(cat migrator.password)' REQUIRE SSL;
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON shop.* TO 'migrator'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES ON holdfast.* TO 'migrator'@'%';
GRANT SELECT ON performance_schema.* TO 'migrator'@'%';
GRANT PROCESS, SHOW_ROUTINE, XA_RECOVER_ADMIN ON *.* TO 'migrator'@'%';
-- The application reads and writes rows.
CREATE USER 'application'@'%' IDENTIFIED BY '$(cat application.password)' REQUIRE SSL;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO 'application'@'%';
-- Who creates the tables and fills them.
CREATE USER 'owner'@'%' IDENTIFIED BY '$(cat owner.password)' REQUIRE SSL;
GRANT ALL ON shop.* TO 'owner'@'%';
GRANT ALL ON holdfast.* TO 'owner'@'%';
END
} >accounts.sql

secret mysql-tls ca.crt=ca.crt tls.crt=tls.crt tls.key=tls.key
secret mysql-ca ca.crt=ca.crt
secret mysql-accounts accounts.sql=accounts.sql
secret shop-migrator username=migrator.username password=migrator.password
secret shop-application username=application.username password=application.password
secret shop-owner username=owner.username password=owner.password
# Last: where it is, all are.
secret mysql-root username=root.username password=root.password
