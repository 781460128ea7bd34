#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Entry point of the PostgreSQL stand-in, to the contract of the official image's environment variables and directories.
set -euo pipefail

fail() { printf 'docker-entrypoint: error: %s\n' "$*" >&2; exit 1; }
note() { printf 'docker-entrypoint: %s\n' "$*"; }

# setting NAME DEFAULT: $NAME, or the content of the file that $NAME_FILE names (a secret that is mounted)
setting() {
    local name=$1 file=$1_FILE
    if [ -n "${!file:-}" ]; then
        [ -z "${!name:-}" ] || fail "$name and $file are both set; set one of them"
        [ -r "${!file}" ] || fail "$file names ${!file}, which cannot be read"
        export "$name=$(<"${!file}")"
        unset "$file"
    else
        export "$name=${!name:-$2}"
    fi
}

# A command that only asks the server's program something needs no cluster.
only_asks() {
    local argument
    for argument; do
        case $argument in
            -\? | --help | --describe-config | -V | --version) return 0 ;;
        esac
    done
    return 1
}

prepare_directories() {
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 0700 "$PGDATA" || true             # some mounts refuse; the server says so itself where it matters
    chmod 03775 /var/run/postgresql || true
    if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
        mkdir -p "$POSTGRES_INITDB_WALDIR"
        chmod 0700 "$POSTGRES_INITDB_WALDIR"
    fi
    if [ "$(id -u)" -eq 0 ]; then
        find "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \
            ! -user postgres -exec chown postgres {} +
    fi
}

check_first_start() {
    if [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
        fail "the database is new and has no superuser password: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE" \
            "(or POSTGRES_HOST_AUTH_METHOD=trust, which lets anyone in without one)"
    fi
    if [ "${POSTGRES_HOST_AUTH_METHOD:-}" = trust ]; then
        note "warning: POSTGRES_HOST_AUTH_METHOD=trust: whoever reaches the port is the superuser" >&2
    fi
}

initialise() {
    local password_file arguments=()
    password_file=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$password_file"
    [ -z "$POSTGRES_PASSWORD" ] || arguments+=(--pwfile="$password_file")
    [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || arguments+=(--waldir="$POSTGRES_INITDB_WALDIR")
    # the variable holds shell words, quotes included, by the image's contract
    eval "initdb --username=\"\$POSTGRES_USER\" \"\${arguments[@]}\" $POSTGRES_INITDB_ARGS"
    rm -f "$password_file"

    local method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

# Only the socket, so that nothing outside takes this server for the real one.
start_temporary() {
    pg_ctl -D "$PGDATA" -w start -o "$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")"
}

stop_temporary() { pg_ctl -D "$PGDATA" -m fast -w stop; }

run_sql() {
    PGHOST='' PGHOSTADDR='' psql --no-psqlrc --no-password --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"
}

create_database() {
    run_sql --dbname postgres --quiet --set database="$POSTGRES_DB" <<'SQL'
SELECT format('CREATE DATABASE %I', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
SQL
}

run_first_start_scripts() {
    local script
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
            *.sh)
                note "running $script"
                # one that is not executable is part of this script, and may use its functions
                # shellcheck source=/dev/null
                if [ -x "$script" ]; then "$script"; else . "$script"; fi
                ;;
            *.sql) note "running $script"; run_sql --dbname "$POSTGRES_DB" --file "$script" ;;
            *.sql.gz) note "running $script"; gunzip -c "$script" | run_sql --dbname "$POSTGRES_DB" ;;
            '/docker-entrypoint-initdb.d/*') ;;    # the directory is empty
            *) note "ignoring $script: not .sh, .sql or .sql.gz" ;;
        esac
    done
}

first_start() {
    check_first_start
    ls /docker-entrypoint-initdb.d >/dev/null     # one that cannot be read is an error before initdb, not after it
    initialise
    export PGPASSWORD=${PGPASSWORD-$POSTGRES_PASSWORD}
    start_temporary "${@:2}"
    create_database
    run_first_start_scripts
    stop_temporary
    unset PGPASSWORD
    note "the new database is ready"
}

main() {
    case ${1:-} in
        '' | -*) set -- postgres "$@" ;;
    esac

    if [ "$1" = postgres ] && ! only_asks "${@:2}"; then
        # as root where it starts so: a file with the password may be root's alone
        setting POSTGRES_PASSWORD ''
        setting POSTGRES_USER postgres
        setting POSTGRES_DB "$POSTGRES_USER"
        setting POSTGRES_INITDB_ARGS ''
        prepare_directories
        if [ "$(id -u)" -eq 0 ]; then
            export HOME=/var/lib/postgresql
            exec setpriv --reuid=postgres --regid=postgres --init-groups -- "${BASH_SOURCE[0]}" "$@"
        fi
        if [ -s "$PGDATA/PG_VERSION" ]; then
            note "$PGDATA holds a database; its first start is over"
        else
            first_start "$@"
        fi
    fi
    exec "$@"
}

main "$@"
