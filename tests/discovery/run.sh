#!/usr/bin/env bash
# Measures `kubectl holdfast discover` on public schemas, whose foreign keys are taken away first and then looked for. The schemas come
# from registry packages, fetched now and kept in the cache; none of their text is in this repository. docs/discover.md has their licences.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

CLUSTER_DIR=$PWD/tests/cluster
for part in common packages rootfs maven_server; do
	# shellcheck source=/dev/null
	. "$CLUSTER_DIR/lib/$part.sh"
done

need_packages /usr/bin/mvn=maven /usr/bin/unzip=unzip /usr/bin/dpkg-deb=dpkg
SCHEMAS=$CACHE/discovery
mkdir -p "$SCHEMAS"

# debian PACKAGE FILE...: unpacks a Debian package without installing it, and copies files of it.
debian() {
	local package=$1 folder
	shift
	folder=$SCHEMAS/$package
	if [[ ! -e $folder/done ]]; then
		rm -rf "$folder"
		mkdir -p "$folder/download" "$folder/tree"
		(cd "$folder/download" && apt-get download -o APT::Sandbox::User=root "$package" >&2) || {
			apt-get update >&2
			(cd "$folder/download" && apt-get download -o APT::Sandbox::User=root "$package" >&2)
		}
		dpkg-deb --extract "$folder"/download/*.deb "$folder/tree"
		for file in "$@"; do
			case $file in
			*.gz) gunzip --stdout "$folder/tree/$file" >"$folder/$(basename "$file" .gz)" ;;
			*) cp "$folder/tree/$file" "$folder/" ;;
			esac
		done
		dpkg-deb --field "$folder"/download/*.deb Version >"$folder/version"
		rm -rf "$folder/tree" "$folder/download"
		touch "$folder/done"
	fi
	say "$package $(<"$folder/version")"
}

# maven NAME COORDINATES SHA256 MEMBER: takes one file out of a Maven artifact.
maven() {
	local folder=$SCHEMAS/$1 jar
	mkdir -p "$folder"
	jar=$(maven_artifact "$2" "$3")
	unzip -o -q -j -d "$folder" "$jar" "$4"
	say "$2"
}

maven chinook net.hydromatic:chinook-data-hsqldb:0.2 \
	29805e76a53994841aff76d1b1d5656f0d8c4bf2f092cf63c0dd5521329e7212 chinook.script
maven quartz org.quartz-scheduler:quartz:2.5.2 \
	452e418739c0da1bff255f7c1343dd3a92e1fdd3ceb126b185939edae9922091 org/quartz/impl/jdbcjobstore/tables_mysql_innodb.sql
debian zabbix-server-mysql usr/share/zabbix-server-mysql/schema.sql.gz usr/share/zabbix-server-mysql/images.sql.gz \
	usr/share/zabbix-server-mysql/data.sql.gz
debian tt-rss usr/share/tt-rss/schema/ttrss_schema_mysql.sql
debian kea-admin usr/share/kea/scripts/mysql/dhcpdb_create.mysql
debian roundcube-core usr/share/roundcube/SQL/mysql.initial.sql

export HOLDFAST_DISCOVERY_SCHEMAS=$SCHEMAS
cargo test --locked --test discovery --no-run
tests/cluster/mysqld.sh run -- cargo test --locked --test discovery -- --nocapture "$@"
