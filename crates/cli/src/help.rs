//! The texts that `--help` ends with: examples, exit codes, environment. THE list of environment variables is here.

pub(crate) const TOP: &str = "\
Examples:
  pgmedic check                               what is configured here
  pgmedic check postgres://app@db:5432/shop   any database, nothing configured
  pgmedic check shop --format json | jq .status
  pgmedic explain slots-exhausted             what it is, proves it, mends it

With neither SERVICE nor URL, check takes the only service of ./pgmedic.toml
(or --config), else DATABASE_URL, else what libpq's environment names.

Exit codes:
  check   0 ok   1 warning   2 critical   3 unknown
  all     64 bad usage   78 bad configuration   70 a defect in pgmedic
          130, 143 stopped by SIGINT, SIGTERM

Environment:
  DATABASE_URL   the database, where no service and no URL is given
  PGHOST PGHOSTADDR PGPORT PGUSER PGPASSWORD PGDATABASE PGOPTIONS
  PGSERVICE PGSERVICEFILE PGSYSCONFDIR PGPASSFILE
  PGSSLMODE PGSSLROOTCERT PGSSLCERT PGSSLKEY PGSSLNEGOTIATION PGSSLSNI
  PGCHANNELBINDING
                 as libpq reads them; so are ~/.pgpass, ~/.pg_service.conf
  NO_COLOR CLICOLOR CLICOLOR_FORCE COLUMNS LC_ALL LC_CTYPE LANG TERM
                 how the report looks
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

Others can read a password in a URL in the list of processes: rather use
DATABASE_URL, PGPASSWORD, ~/.pgpass or pgmedic.toml.

Exit codes:
  0 ok   1 warning   2 critical   3 unknown
  64 bad usage   78 bad configuration   70 a defect in pgmedic";

pub(crate) const EXPLAIN: &str = "\
Examples:
  pgmedic explain                       every cause, by room
  pgmedic explain idle-in-transaction   one page, offline";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  pgmedic completions bash > /etc/bash_completion.d/pgmedic
  pgmedic completions zsh > \"${fpath[1]}/_pgmedic\"
  pgmedic completions fish > ~/.config/fish/completions/pgmedic.fish";
