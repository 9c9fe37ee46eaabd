//! The texts that `--help` ends with: examples, exit codes, environment. THE list of environment variables is here.

pub(crate) const TOP: &str = "\
Examples:
  pgmedic check                               what is configured here
  pgmedic check postgres://app@db:5432/shop   any database, nothing configured
  pgmedic check shop --format json | jq .status
  pgmedic fix shop --plan                     what would mend it, and whom it
                                              would touch
  pgmedic audit shop                          what will break it, and what
                                              mends that; changes nothing
  pgmedic watch                               the daemon
  pgmedic explain slots-exhausted             what it is, proves it, mends it
  pgmedic drill slots-exhausted               see it happen, to a throwaway

With neither SERVICE nor URL, check takes the only service of ./pgmedic.toml
(or --config), else DATABASE_URL, else what libpq's environment names.

Exit codes:
  check   0 ok   1 warning   2 critical   3 unknown   (audit likewise)
  fix     0 well, and proved so   1 not well, and nothing more is allowed
          2 tried, and not well
  self doctor   0 all is there   1 something lacks   2 no server reached
  watch   0 told to end
  drill   0 every fault was found   1 one was not
  all     64 bad usage   78 bad configuration   70 a defect in pgmedic
          130, 143 stopped by SIGINT, SIGTERM

Environment:
  DATABASE_URL   the database, where no service and no URL is given
  PGHOST PGHOSTADDR PGPORT PGUSER PGPASSWORD PGDATABASE PGOPTIONS
  PGSERVICE PGSERVICEFILE PGSYSCONFDIR PGPASSFILE
  PGSSLMODE PGSSLROOTCERT PGSSLCERT PGSSLKEY PGSSLNEGOTIATION PGSSLSNI
  PGCHANNELBINDING
                 as libpq reads them; so are ~/.pgpass, ~/.pg_service.conf
  PGMEDIC_STATE XDG_STATE_HOME
                 where it is remembered which server each service has,
                 where the record of incidents is, pauses and the store
  NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID
                 systemd, for watch
  NO_COLOR CLICOLOR CLICOLOR_FORCE COLUMNS LC_ALL LC_CTYPE LANG TERM
                 how the report looks
  FLY_API_TOKEN FLY_FLAPS_BASE_URL FLY_API_BASE_URL
                 as flyctl reads them, for platform.kind = \"fly\"
  DOCKER_HOST XDG_RUNTIME_DIR KUBECONFIG HOME KUBERNETES_SERVICE_HOST
  KUBERNETES_SERVICE_PORT
                 where Docker's engine and the cluster are
  any NAME       that pgmedic.toml names as env:NAME

Data goes to stdout, everything else to stderr. Secrets are never printed.";

pub(crate) const CHECK: &str = "\
Examples:
  pgmedic check                                what is configured here
  pgmedic check shop --timeout 3s              a service of pgmedic.toml
  pgmedic check shop --format nagios           as a monitoring plugin
  pgmedic check postgres://app@db:5432/shop --direct db:5433 \\
      --ready http://api:3000/api/v1/ready
  fly logs --app shop-api --no-tail | pgmedic check shop --api-log -
  pgmedic check shop --record night.json       save what was seen, and
  pgmedic check --replay night.json            diagnose it anywhere

A password in a URL is taken out of the list of processes at once, but stays
in your shell's history: rather use ~/.pgpass, PGPASSWORD or pgmedic.toml.

Exit codes:
  0 ok   1 warning   2 critical   3 unknown
  64 bad usage   78 bad configuration   70 a defect in pgmedic";

pub(crate) const FIX: &str = "\
Examples:
  pgmedic fix shop --plan                  what would be done, and to whom
  pgmedic fix shop                         ask about each step, then do it
  pgmedic fix shop --yes                   what policy.auto allows, else sessions
  pgmedic fix shop --yes --allow sessions,app-restart,storage
  pgmedic fix shop --only terminate-idle-sessions --yes
  pgmedic fix shop --yes --format json | jq .recovered

Kinds, least disruptive first: advice, sessions, settings, storage,
app-restart, proxy-restart, db-restart. Each is allowed by its name: to allow
storage does not allow a restart. A closed gate (no space, a broken
pg_hba.conf, a base backup, …) is opened by no option.

Every action is written into the record before it is taken, and again when
its outcome is known (pgmedic incidents). A second pgmedic on one service
does nothing. Ctrl-C finishes the step in hand and begins no other.

Exit codes:
  0   well at the end, and proved so by walking again
  1   not well, and nothing more is allowed: the plan is printed
  2   tried, and not well
  64 bad usage   78 bad configuration   70 a defect in pgmedic";

pub(crate) const AUDIT: &str = "\
Examples:
  pgmedic audit shop                       what will break, nearest first
  pgmedic audit shop --diff                what is, and what is advised
  pgmedic audit shop --sql > audit.sql     the statements, each with its undo;
                                           read it, then:
  psql -X -f audit.sql \"$RESCUE_DATABASE_URL\"
  pgmedic audit shop --watch-for 1m        nine looks within a minute: when a
                                           volume, a slot, the ids run out
  pgmedic audit shop --format json | jq '.budget.largest_pool'
  pgmedic explain budget-overrun           a weakness's page

Nothing is changed. What the sum of connections needs to know of the API's
machines and pools stands under [service.budget] of pgmedic.toml, in the
pools' metrics, or is asked of the platform. A role with pg_monitor sees
most; what it may not see is listed, with the grant that lets it.

Exit codes:
  0 ok   1 warning   2 critical   3 unknown: too little could be seen
  64 bad usage   78 bad configuration   70 a defect in pgmedic";

pub(crate) const WATCH: &str = "\
Examples:
  pgmedic watch                            every service of ./pgmedic.toml
  pgmedic watch --check                    is it right, and what would be done?
  pgmedic watch --config /etc/pgmedic/pgmedic.toml --log json
  kill -HUP PID                            read the configuration anew; one that
                                           is wrong is refused, the old one stays
  pgmedic pause shop --for 1h              hold its hands

It looks through one standing session at each interval, and from outside at
each walk; opens an incident on confirmed evidence, alerts, applies what
[service.policy] auto allows, and closes the incident on proof. Metrics and
API are served on [watch] listen. docs/configuration.md has every key,
docs/pgmedic.service is a unit for systemd.

SIGTERM and SIGINT end it within 2 s, with the step in hand finished; a second
one leaves at once. SIGHUP reloads.

Exit codes:
  0   told to end
  64 bad usage   78 bad configuration (a store or an address that cannot be
  had among it)   70 a defect in pgmedic

Environment:
  PGMEDIC_STATE    where record, store and pauses are
  NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID
                   as systemd sets them";

pub(crate) const PAUSE: &str = "\
Examples:
  pgmedic pause shop --for 1h --reason 'migration'
  pgmedic pause --all                      until it is resumed
  pgmedic pause --list
  pgmedic resume shop

While it is paused, pgmedic watch sees, alerts and records as ever, and does
nothing by itself; a fix in hand ends with its present step. It takes effect
at once and over a restart. Who may write to the state folder may pause: use
the PGMEDIC_STATE of the daemon. Over the network: POST /api/v1/pause.";

pub(crate) const INCIDENTS: &str = "\
Examples:
  pgmedic incidents                            every incident on a line
  pgmedic incidents show                       the newest one
  pgmedic incidents show 20261126T0312 --format markdown > post-mortem.md
  pgmedic incidents --format json | jq '.incidents[].causes'
  pgmedic incidents --format json | jq '.watched[] | select(.closed_at == null)'

Shows the record of pgmedic fix (PGMEDIC_STATE) and, with a configuration, the
incidents of its daemon, from `store` of [watch], whether the daemon runs or
not; without one, from the store in the state folder where there is one. What
was done for an incident of the daemon's stands below it. The store is only
read. One that cannot be is said on stderr, and the record is shown alone.
In JSON, incidents are the record's, and watched the daemon's, each a
pgmedic.incident/1.";

pub(crate) const EXPLAIN: &str = "\
Examples:
  pgmedic explain                       every cause, by room
  pgmedic explain idle-in-transaction   one page, offline";

pub(crate) const DRILL: &str = "\
Examples:
  pgmedic drill --list                what there is to drill, what each needs
  pgmedic drill slots-exhausted       one fault, and the report it evokes
  pgmedic drill slots-exhausted --fix  the same, and mended before your eyes
  pgmedic drill --runbook             the runbook's four faults, each mended
  pgmedic drill --all --format json   every fault; schema pgmedic.drill/1
  pgmedic drill disk-full+proxy-hung  two faults at once
  pgmedic drill --pairs               two at a time, from every room
  pgmedic drill --healthy 1000        a healthy service under load: no alarm

A drill builds a Postgres of its own (with proxy, pooler, DNS server and API)
in a temp folder on loopback, breaks it, checks it, mends it, checks it again
and removes it. It touches no service of yours. Some faults need root: a disk
to fill, packets to drop.

Environment:
  PGMEDIC_PG_BIN   where initdb and postgres are, instead of PATH and
                   /usr/lib/postgresql
  TMPDIR           where the temp folder goes, instead of /tmp

Exit codes:
  0   each cause was found, alone, and its service was well again; of two at
      once each was found, or the one that hides the other named; with --fix
      each was mended by what must mend it, or left untouched to a person, and
      no bystander was harmed
  1   one was not; or one that was named (with --strict: any) needs root or a
      program that is not here
  64 bad usage   70 a defect in pgmedic";

pub(crate) const RULES: &str = "\
Examples:
  pgmedic rules prometheus > /etc/prometheus/rules/pgmedic.yml
  pgmedic rules prometheus renderflow --from both --output pgmedic.yml
  pgmedic rules prometheus --from pool --api-label app
  pgmedic rules grafana --output dashboards/pgmedic.json
  promtool check rules pgmedic.yml

Alerts: DatabaseConnectionFailure, DatabaseConnectionsNearLimit,
DatabasePoolSaturated, DatabasePoolWaiting, DatabaseStorageFilling,
DatabaseLocksPilingUp, PgmedicDown. docs/rules.md says what each needs, how
Prometheus is to scrape, and how Alertmanager is to inhibit.

A service of pgmedic.toml has rules of its own, with its policy's keep_free.
Without one the rules hold for every service that there is.";

pub(crate) const RUNBOOK: &str = "\
Examples:
  pgmedic runbook renderflow > runbook.md
  pgmedic runbook renderflow --output docs/runbook.md
  pgmedic runbook --config /etc/pgmedic/pgmedic.toml shop
  pgmedic runbook postgres://app@db/shop       the platform is not known then

Markdown: one screen of triage, symptoms, diagnosis, remedies, a section for
each cause that this service can have, prevention, and what is left out, with
the reason. The sections are those of pgmedic explain.

It connects to nothing and looks no secret up: what stands in env:NAME or in
file:PATH is written as \"$NAME\" or \"$(cat PATH)\". No password is printed.

Exit codes:
  0   written
  64 bad usage   78 bad configuration   70 a defect in pgmedic";

pub(crate) const INIT: &str = "\
Examples:
  pgmedic init                       look here and on this host, and write
  pgmedic init --print               show it, and write nothing
  pgmedic init --dir deploy --no-host --force

It reads DATABASE_URL and its like, libpq's variables, .env files, fly.toml,
compose files, systemd units with their environment files, the configuration
of HAProxy and PgBouncer, and where this host has a Postgres. It connects to
nothing and runs nothing. Passwords are neither written nor shown: the file
says env:NAME, and what has to be set is listed.

Exit codes:
  0   written (with --print: shown)
  1   nothing was found: an empty form is written, for DATABASE_URL
  64 bad usage, a pgmedic.toml that is there among it   70 a defect in pgmedic";

pub(crate) const DOCTOR: &str = "\
Examples:
  pgmedic self doctor                       every service of ./pgmedic.toml
  pgmedic self doctor shop
  pgmedic self doctor --format json | jq -r '.services[].checks[]
      | select(.needed and .state != \"ok\") | .grants[]
      | select(.by == \"sql\").line' > grants.sql     read it, then:
  psql -X -f grants.sql postgres://postgres@db/shop

It looks at everything that the configuration names, once, and says of each
right whether it is there, what pgmedic cannot do without it, and the line
that grants it: roles, ways in, console, readiness, metrics, logs, the
platform's token, this host, commands, state folder, alert receivers. It
changes nothing, runs no command and sends no test alert. What can be found
out only by acting is said to be not seen, and does not count.

Exit codes:
  0   all that is promised is there
  1   something lacks
  2   no way in led to a service's server
  64 bad usage   78 bad configuration   70 a defect in pgmedic";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  pgmedic completions bash > /etc/bash_completion.d/pgmedic
  pgmedic completions zsh > \"${fpath[1]}/_pgmedic\"
  pgmedic completions fish > ~/.config/fish/completions/pgmedic.fish";

pub(crate) const MAN: &str = "\
Examples:
  pgmedic self man | man -l -              pgmedic's own page
  pgmedic self man fix | man -l -          the page of a verb
  pgmedic self man --output ~/.local/share/man/man1

`make install` puts all of them beside the program.";
