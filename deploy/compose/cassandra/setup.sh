#!/usr/bin/env bash
# Set the superuser's password, and create the keyspace and the role that workers log in with.
# Running it again changes nothing except the role's password, if it was changed in .env.
set -eu

as() { # NAME PASSWORD, statements on standard input
    cqlsh --username "$1" --password "$2" cassandra 9042
}

logs_in() { # NAME PASSWORD
    as "$1" "$2" <<< '' 2> /dev/null
}

quoted() {
    local quote="'"
    printf "'%s'" "${1//$quote/$quote$quote}"
}

# Log in as BY with BY_PASSWORD and set the password of NAME, until NAME can log in with PASSWORD. This may take
# several tries: a new node creates its superuser some seconds after it is up, nodes remember an old password for
# some more seconds, and refuse to change a password twice within five.
give_password() { # NAME PASSWORD BY BY_PASSWORD
    for _ in {1..30}; do
        if logs_in "$1" "$2"; then
            return
        fi
        as "$3" "$4" <<< "ALTER ROLE $1 WITH PASSWORD = $(quoted "$2");" 2> /dev/null || true
        sleep 2
    done
    echo "Cassandra refuses the password of $1 in .env, and $3 may not change it" >&2
    exit 1
}

give_password cassandra "$CASSANDRA_ADMIN_PASSWORD" cassandra cassandra

as cassandra "$CASSANDRA_ADMIN_PASSWORD" << CQL
CREATE KEYSPACE IF NOT EXISTS panopticon
    WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 1};
CREATE ROLE IF NOT EXISTS panopticon WITH LOGIN = true AND PASSWORD = $(quoted "$CASSANDRA_PASSWORD");
GRANT ALL PERMISSIONS ON KEYSPACE panopticon TO panopticon;
CQL

give_password panopticon "$CASSANDRA_PASSWORD" cassandra "$CASSANDRA_ADMIN_PASSWORD"
