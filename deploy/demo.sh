#!/bin/sh
# One debate from question to verified receipt: starts a server of its own on free ports, asks,
# shows the debate as it happens, verifies the receipt with the public key alone, stops the server.
# usage: demo.sh FOLDER-OF-PROGRAMS [QUESTION]
set -eu
programs=$1
question=${2:-Should a small team split its monolith into services?}
data=$(mktemp -d)
server=""

# The server's shared memory is named after its data directory.
finish() {
    status=$?
    trap - EXIT INT TERM
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" || status=$?
    fi
    rm -f "/dev/shm/aragora-$(stat -c %D "$data/server")-$(printf %x "$(stat -c %i "$data/server")")"
    rm -rf "$data"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A port that is taken shows at once; the next one is tried.
start() {
    "$programs/aragora" serve --offline --port 0 --ws-port "$1" --data-dir "$data/server" \
        >"$data/ready" 2>"$data/log" &
    server=$!
    while kill -0 "$server" 2>/dev/null; do
        url=$(sed -n 's/^aragora: ready on //p' "$data/ready")
        [ -z "$url" ] || return 0
        sleep 0.05
    done
    wait "$server" || true
    server=""
    return 1
}

ARAGORA_API_TOKEN=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
ARAGORA_DISABLE_ALL_RATE_LIMITS=true
export ARAGORA_API_TOKEN ARAGORA_DISABLE_ALL_RATE_LIMITS
port=$((20000 + $$ % 20000))
for _ in 1 2 3 4 5; do
    start "$port" && break
    port=$((port + 1))
done
if [ -z "$server" ]; then
    cat "$data/log" >&2
    exit 1
fi

"$programs/aragora" ask --url "$url" --rounds 2 --receipt "$data/receipt.json" \
    --pubkey "$data/key.pem" "$question"
echo
"$programs/aragora" verify "$data/receipt.json" --pubkey "$data/key.pem"
