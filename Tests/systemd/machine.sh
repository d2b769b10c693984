# A machine with a booted systemd, for the script that sources this. Needs root.
# shellcheck shell=bash

# What every machine has, besides what a test adds.
machine_packages=systemd,systemd-sysv,jq,socat,procps
machine_leader=
machine_job=

# machine_build FOLDER: makes the root file system, from the mirror and for the release that this host uses. Cached.
machine_build() {
    local root=$1 suite mirror
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    if [ "$(cat "$root/.complete" 2>/dev/null)" = "$suite $machine_packages" ]; then return; fi
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' \
        | awk -v suite="$suite" '$2 == suite && $3 == "main" { print $1; exit }')
    [ -n "$mirror" ] || { echo "no mirror of Debian $suite among the host's apt sources" >&2; return 1; }
    echo "Making a Debian $suite root (once, about a minute)"
    rm -rf "$root"
    mkdir -p "$root"
    timeout 900 debootstrap --variant=minbase --include="$machine_packages" "$suite" "$root" "$mirror" \
        >"$root.log" 2>&1 || { tail -n 5 "$root.log" >&2; return 1; }
    echo "$suite $machine_packages" >"$root/.complete"
}

# machine_boot ROOT SOURCES OFFER: boots it with the repository at /src and a folder at /offer. What happens inside is gone
# with the machine: only an overlay in memory is written to.
machine_boot() {
    # Without a unified hierarchy on the host, systemd-nspawn would ask for one all the same.
    if [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0; fi
    timeout --kill-after=20 1200 systemd-nspawn --quiet --boot --directory="$1" --volatile=overlay \
        --machine=earshot-test-$$ --register=no --keep-unit --private-network --bind-ro="$2:/src" --bind-ro="$3:/offer" \
        </dev/null >"$1.console" 2>&1 &
    machine_job=$!
    local nspawn
    for _ in $(seq 300); do
        kill -0 "$machine_job" 2>/dev/null || { tail -n 5 "$1.console" >&2; return 1; }
        nspawn=$(pgrep --parent "$machine_job" systemd-nspawn) || true
        if [ -n "$nspawn" ]; then machine_leader=$(pgrep --parent "$nspawn" --exact systemd | head -n 1) || true; fi
        # `starting` until the boot is through; `degraded` is good enough, as some units need what a container lacks.
        if [ -n "$machine_leader" ]; then
            case $(inside systemctl is-system-running 2>/dev/null || true) in running | degraded) return ;; esac
        fi
        sleep 0.2
    done
    echo "the machine did not come up" >&2
    tail -n 5 "$1.console" >&2
    return 1
}

# inside COMMAND...: runs it in the machine, as root, for a minute at most.
inside() {
    timeout 60 nsenter --target "$machine_leader" --all env -i \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root "$@"
}

machine_stop() {
    if [ -n "$machine_job" ]; then
        # The end of its init ends every process of the machine.
        if [ -n "$machine_leader" ]; then kill -KILL "$machine_leader" 2>/dev/null || true; fi
        kill -TERM "$machine_job" 2>/dev/null || true
        wait "$machine_job" 2>/dev/null || true
    fi
}
