# What the tests in a booted machine share: checks, and questions to the service. For the script that sources this.
# shellcheck shell=bash
# shellcheck source=machine.sh
. Tests/systemd/machine.sh

socket=/run/earshot/earshot.sock
passed=0
failed=0
# Given to the machine, at /offer.
offer=$(mktemp -d)
chmod 755 "$offer"

# check NAME COMMAND...: one line for each thing that is checked.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok      $name"
    else
        failed=$((failed + 1))
        echo "FAILED  $name"
        if [ -n "$output" ]; then printf '%s\n' "$output" | tail -n 5 | sed 's/^/        /'; fi
    fi
}

finish() {
    if [ $failed != 0 ] && [ -n "$machine_leader" ]; then
        echo "-- the service's journal:"
        inside journalctl --unit earshotd --no-pager --output cat | tail -n 40
    fi
    machine_stop
    rm -rf "$offer"
    echo "$passed passed, $failed failed"
    [ $failed = 0 ] && [ $passed != 0 ]
}
trap 'finish; exit $?' EXIT
trap 'failed=$((failed + 1)); exit 1' HUP INT TERM

property() { inside systemctl show --property "$1" --value earshotd; }
is() { [ "$1" = "$2" ] || { echo "got '$1', not '$2'"; return 1; }; }
# The first line that the daemon sends.
hello() { inside timeout 10 socat -u UNIX-CONNECT:$socket - 2>/dev/null | head -n 1; }
has_label() { hello | jq --exit-status --arg name "$1" '[.labels | .. | strings] | index($name) != null' >/dev/null; }
lacks_label() { hello | jq --exit-status --arg name "$1" '[.labels | .. | strings] | index($name) == null' >/dev/null; }
# Everything that an installation may leave behind; logs and the user database's backups are not of it.
files() { inside find /etc /usr /run/earshot /var/lib /var/cache -xdev ! -name '*-' ! -path '*/__pycache__*' 2>/dev/null | sort; }
# within SECONDS COMMAND...: tries until it succeeds.
within() {
    local last=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $last ] || { "$@"; return 1; }
        sleep 0.3
    done
}

# fill_offer ROOT: what else a test puts into $offer before the boot.
fill_offer() { :; }

# prepare NAME: boots the machine of that name, with what is in $machine_packages.
prepare() {
    [ "$(id -u)" = 0 ] || { echo "this test boots a machine and must be run as root" >&2; return 1; }
    local missing=
    command -v debootstrap >/dev/null || missing+=" debootstrap"
    command -v systemd-nspawn >/dev/null || missing+=" systemd-container"
    command -v jq >/dev/null || missing+=" jq"
    command -v pgrep >/dev/null || missing+=" procps"
    command -v sndfile-convert >/dev/null || missing+=" sndfile-programs"
    if [ -n "$missing" ]; then
        echo "Installing Debian packages:$missing"
        apt-get update --quiet=2 || true
        # shellcheck disable=SC2086 # a list
        DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends $missing || return 1
    fi
    local root=${EARSHOT_MACHINES:-.build-systemd}/$1
    machine_build "$root" && fill_offer "$root" && machine_boot "$root" "$PWD" "$offer"
}

install_microphone() {
    inside install -m 644 /src/Tests/systemd/machine/asound.conf /etc/asound.conf
    # The recording without the WAV header of 44 bytes.
    sndfile-convert -pcm16 Tests/Fixtures/demo.flac "$offer/demo.wav" || return 1
    inside sh -c 'tail -c +45 /offer/demo.wav > /var/lib/demo.raw'
    inside install -m 644 /src/Tests/systemd/machine/microphone.service /run/systemd/system/
    inside systemctl daemon-reload
    inside systemctl start microphone
}

event_arrives() {
    local event
    event=$(timeout 100 nsenter --target "$machine_leader" --all socat -u UNIX-CONNECT:$socket - \
        | grep --max-count=1 '"type":"onset"') || { echo "no onset in 100 s"; return 1; }
    is "$(jq --raw-output .source <<<"$event")" mic0 && jq --exit-status '.seq > 0 and .score > 0' <<<"$event" >/dev/null
}
