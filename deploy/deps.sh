#!/bin/sh
# Installs the Debian packages that building and testing need; as root or through sudo. Does
# nothing, and asks no server, when all are there. Starts no service and leaves none behind.
set -eu
packages="build-essential pkg-config libjson-c-dev libsqlite3-dev libpq-dev libssl-dev
          libfcgi-dev libcurl4-openssl-dev libyaml-dev libzmq3-dev zlib1g-dev libcmocka-dev
          clang-format-14 clang-tidy-14 cppcheck lighttpd lighttpd-mod-openssl apache2-bin
          libapache2-mod-fcgid mandoc postgresql-15 procps prometheus wrk chromium chromium-driver
          python3-httpx python3-jsonschema python3-pytest python3-selenium python3-venv python3-websockets
          python3-yaml"
missing=""
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo -n"
# No default cluster and no started daemon: the tests start servers of their own.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    $as_root mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
# policy-rc.d keeps what is being installed from starting; an existing one is left alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
    trap '$as_root rm -f "$policy"' EXIT
fi
$as_root apt-get update -q
# shellcheck disable=SC2086 # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
