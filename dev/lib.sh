# dev/lib.sh: what dev/test and dev/demo share.  Sourced by bash, not run.
#
# Everything happens in one scratch folder: a copy of the source tree, a copy of
# PostgreSQL with the extension installed into it, servers with their data and
# sockets.  No existing cluster, no system directory and no file of the working
# tree is touched; what stays behind is the packages that had to be installed.
#
# PostgreSQL does not run as root, so root hands the work to an ordinary user.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=
run_user=
as=()                   # prefix of commands that the ordinary user runs
background=()           # process groups to end with us
createcluster_saved=    # the machine's own createcluster.conf, while ours is there
policy_placed=          # our policy-rc.d, while it keeps daemons from starting

# Settings of the caller's PostgreSQL must not reach ours.
for name in ${!PG*}; do
    case $name in PGTOPIC_*) ;; *) unset "$name" ;; esac
done
unset name MAKEFLAGS MAKELEVEL MFLAGS CDPATH
export LANG=C.UTF-8 LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo --preserve-env=DEBIAN_FRONTEND "$@"
    else
        die "needs root or sudo for: $*"
    fi
}

# as_user COMMAND...: as the ordinary user who owns the scratch folder
as_user() { "${as[@]}" "$@"; }

#
# Packages
#

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# apt-get, silent unless it fails
apt()
{
    local log status=0

    log=$(mktemp)
    as_root apt-get -qq "$@" >"$log" 2>&1 || status=$?
    [ "$status" = 0 ] || cat "$log"
    rm -f "$log"
    return "$status"
}

apt_install() { apt install -y --no-install-recommends "$@"; }

# choose_postgres: sets pg_major.  The main target is 15; where the distribution
# has none, its own version.
choose_postgres()
{
    pg_major=${PGTOPIC_PG_MAJOR:-}
    [ -z "$pg_major" ] || return 0
    if [ -x /usr/lib/postgresql/15/bin/postgres ]; then pg_major=15; return 0; fi
    command -v apt-get >/dev/null || die "neither PostgreSQL 15 nor apt-get on this machine"
    apt update
    for pg_major in 15 16 17 18; do
        if [ -n "$(apt-cache madison "postgresql-$pg_major")" ]; then return 0; fi
    done
    die "this distribution has no PostgreSQL from 15 to 18"
}

# install_packages PACKAGE...: those that are missing.  Debian's package creates
# and starts a cluster on its first installation, and pgbouncer's starts a daemon,
# also whenever the machine does; ours must not.
install_packages()
{
    local package missing=() status=0

    for package; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    # afterwards cleanup() is there
    [ -n "$scratch" ] || trap restore_policies EXIT
    say "installing: ${missing[*]}"
    apt update
    case " ${missing[*]} " in
    *" postgresql-$pg_major "*)
        installed postgresql-common || apt_install postgresql-common
        createcluster_saved=$(mktemp)
        cp /etc/postgresql-common/createcluster.conf "$createcluster_saved"
        as_root sed -i '1i create_main_cluster = false' /etc/postgresql-common/createcluster.conf
        ;;
    esac
    case " ${missing[*]} " in
    *' pgbouncer '*)
        if [ ! -e /usr/sbin/policy-rc.d ]; then
            policy_placed=/usr/sbin/policy-rc.d
            printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin "$policy_placed"
        fi
        ;;
    esac
    apt_install "${missing[@]}" || status=$?
    case " ${missing[*]} " in
    *' pgbouncer '*) as_root update-rc.d pgbouncer disable >/dev/null 2>&1 || : ;;
    esac
    restore_policies
    return "$status"
}

restore_policies()
{
    if [ -n "$createcluster_saved" ]; then
        as_root cp --no-preserve=all "$createcluster_saved" /etc/postgresql-common/createcluster.conf
        rm -f "$createcluster_saved"
        createcluster_saved=
    fi
    if [ -n "$policy_placed" ]; then
        as_root rm -f "$policy_placed"
        policy_placed=
    fi
}

# adopt_orphans ARG...: starts the program again, with these arguments, below tini.
# The children of a killed server lose their parent.  Where process 1 does not
# wait for such processes, as in many containers, they would stay as zombies, and
# a zombie counts as running: for a test that waits for its end, and for PostgreSQL
# itself, which does not start where the old postmaster seems to run.
adopt_orphans()
{
    [ -z "${PGTOPIC_ADOPTED:-}" ] || return 0
    PGTOPIC_ADOPTED=yes PGTOPIC_PG_MAJOR=$pg_major exec tini -s -- "$0" "$@"
}

#
# The scratch folder
#

# make_scratch: sets scratch and run_user, and the trap that removes it all
make_scratch()
{
    local base=${TMPDIR:-/tmp}

    # a socket's path has 107 characters
    [ ${#base} -le 40 ] || base=/tmp
    run_user=$(id -un)
    if [ "$(id -u)" = 0 ]; then
        run_user=nobody
        if id postgres >/dev/null 2>&1; then run_user=postgres; fi
        as=(runuser -u "$run_user" --)
    fi
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    scratch=$(mktemp -d "$base/pgtopic.XXXXXX")
    chmod 755 "$scratch"
    mkdir "$scratch/tmp" "$scratch/log"
    [ "$(id -u)" != 0 ] || chown -R "$run_user" "$scratch"
    export TMPDIR=$scratch/tmp HOME=$scratch
    cd "$scratch"
}

# Every process that works inside the scratch folder was started from here.
scratch_processes()
{
    local proc cwd

    for proc in /proc/[0-9]*; do
        cwd=$(readlink "$proc/cwd" 2>/dev/null) || continue
        case $cwd/ in "$scratch"/*) printf '%s\n' "${proc#/proc/}" ;; esac
    done
}

cleanup()
{
    local status=$? group pid signal

    trap - EXIT
    trap '' INT TERM HUP
    set +e
    restore_policies
    if [ -n "$scratch" ]; then
        cd /
        for group in "${background[@]}"; do
            kill -TERM -- "-$group" 2>/dev/null
        done
        for signal in QUIT KILL KILL; do
            for pid in $(scratch_processes); do
                kill -"$signal" "$pid" 2>/dev/null
            done
            for _ in 1 2 3 4 5 6 7 8 9 10; do
                [ -n "$(scratch_processes)" ] || break 2
                sleep 0.2
            done
        done
        rm -rf "$scratch"
    fi
    exit "$status"
}

# in_background LOG FUNCTION ARG...: runs it beside us; background_pid waits for it
in_background()
{
    local log=$1
    shift
    set -m
    ("$@") >"$log" 2>&1 </dev/null &
    background_pid=$!
    set +m
    background+=("$background_pid")
}

# copy_tree NAME: the source tree as it is now, commits or not, without products
copy_tree()
{
    mkdir "$scratch/$1"
    if git -c safe.directory='*' -C "$top" rev-parse --git-dir >/dev/null 2>&1; then
        (cd "$top" &&
         git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
         while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
         tar --null -T - -cf -) | tar -C "$scratch/$1" --no-same-owner -xf -
    else
        (cd "$top" && tar --exclude=.git --exclude='*.o' --exclude='*.so' -cf - .) |
            tar -C "$scratch/$1" --no-same-owner -xf -
    fi
    [ "$(id -u)" != 0 ] || chown -R "$run_user" "$scratch/$1"
}

# copy_postgres: sets pg_bin.  PostgreSQL finds its files relative to its
# programs, so a copy with the same layout is an installation of its own.
copy_postgres()
{
    local lib=/usr/lib/postgresql/$pg_major share=/usr/share/postgresql/$pg_major

    [ -x "$lib/bin/pg_config" ] || die "no $lib/bin/pg_config: is postgresql-server-dev-$pg_major installed?"
    mkdir -p "$scratch/usr/lib/postgresql" "$scratch/usr/share/postgresql" "$scratch/usr/include/postgresql"
    tar -C "${lib%/*}" --exclude=bitcode -cf - "$pg_major" | tar -C "$scratch/usr/lib/postgresql" -xf -
    tar -C "${share%/*}" -cf - "$pg_major" | tar -C "$scratch/usr/share/postgresql" -xf -
    # libpq's headers, which the client program needs, lie beside the server's
    ln -s /usr/include/postgresql/* "$scratch/usr/include/postgresql/"
    [ "$(id -u)" != 0 ] || chown -R "$run_user" "$scratch/usr"
    pg_bin=$scratch/usr/lib/postgresql/$pg_major/bin
    check_inside "$pg_bin"
}

# check_inside BIN: whether that PostgreSQL installs extensions into our folder
check_inside()
{
    case $("$1/pg_config" --pkglibdir) in
    "$scratch"/*) ;;
    *) die "the PostgreSQL of $1 has its files outside $scratch" ;;
    esac
}

#
# Servers
#

# start_server NAME BIN [SETTING...]: a new cluster that preloads pgtopic; sets
# PGHOST, PGPORT and PGUSER, so that every client afterwards talks to it
start_server()
{
    local name=$1 bin=$2 data=$scratch/$1.data setting
    shift 2

    as_user "$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$scratch/log/$name.initdb" 2>&1 ||
        { cat "$scratch/log/$name.initdb"; return 1; }
    as_user mkdir "$scratch/$name.sock"
    as_user tee -a "$data/postgresql.conf" >/dev/null <<EOF
shared_preload_libraries = 'pgtopic'
listen_addresses = ''
unix_socket_directories = '$scratch/$name.sock'
fsync = off
log_line_prefix = '%m [%p] %e %q%a '
$(for setting; do printf '%s\n' "$setting"; done)
EOF
    as_user "$bin/pg_ctl" -D "$data" -l "$scratch/log/$name.log" -w -t 60 start >/dev/null ||
        { tail -n 30 "$scratch/log/$name.log"; return 1; }
    export PGHOST=$scratch/$name.sock PGPORT=5432 PGUSER=postgres
}

# stop_server NAME BIN
stop_server()
{
    as_user "$2/pg_ctl" -D "$scratch/$1.data" -m fast -w stop >/dev/null 2>&1 || :
}
