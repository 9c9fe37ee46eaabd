//! Commands to paste: SQL and shell text with every name quoted, so that a hostile or odd name stays a name.
//! Not in here: what to advise; each cause says that itself.

use crate::evidence::{Evidence, Seen};
use crate::ways::host_and_port;

/// A SQL string literal (Postgres manual, "String Constants"; with escapes where a backslash or control stands in it).
#[must_use]
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if !text.contains(|c: char| c == '\\' || c.is_control()) {
        return format!("'{doubled}'");
    }
    let escaped: String = doubled
        .chars()
        .map(|c| match c {
            '\\' => "\\\\".to_owned(),
            c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("E'{escaped}'")
}

/// A SQL identifier, always quoted (Postgres manual, "Identifiers and Key Words").
#[must_use]
pub fn identifier(name: &str) -> String {
    let doubled = name.replace('"', "\"\"");
    if !name.contains(char::is_control) {
        return format!("\"{doubled}\"");
    }
    let escaped: String = doubled
        .chars()
        .map(|c| match c {
            '\\' => "\\\\".to_owned(),
            c if c.is_control() => format!("\\{:04x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("U&\"{escaped}\"")
}

/// One argument for a POSIX shell.
#[must_use]
pub fn argument(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A SQL statement as one shell argument: in double quotes where it has literals and nothing that a shell would read.
fn statement(sql: &str) -> String {
    if sql.contains('\'') && !sql.contains(['$', '`', '\\', '!']) {
        return format!("\"{}\"", sql.replace('"', "\\\""));
    }
    format!("'{}'", sql.replace('\'', "'\\''"))
}

/// `psql "$…" -c …` as someone who may signal and alter others: the service's own role where that is one, else the rescue role,
/// else, where none is configured, a superuser by the name that most servers have one under.
pub(crate) fn psql(e: &Evidence, sql: &str) -> String {
    psql_each(e, &[sql])
}

/// The same with several statements, each in a transaction of its own.
pub(crate) fn psql_each(e: &Evidence, statements: &[&str]) -> String {
    let each: String = statements.iter().map(|sql| format!(" -c {}", statement(sql))).collect();
    format!("psql {}{each}", way_in(e))
}

/// The same in another database of the same server.
pub(crate) fn psql_in(e: &Evidence, database: &str, sql: &str) -> String {
    let connect = argument(&format!("\\connect {}", identifier(database)));
    format!("psql {} -c {connect} -c {}", way_in(e), statement(sql))
}

/// The way in for repairs, as psql's arguments: by an environment variable, or past whatever stands in front.
pub(crate) fn way_in(e: &Evidence) -> String {
    let capable = e.front.facts().is_some_and(|f| f.me.superuser || f.me.may_signal);
    let rescued = matches!(e.rescue, Seen::Seen(_));
    if capable && !rescued {
        return "\"$DATABASE_URL\"".to_owned();
    }
    if rescued || e.rescue_configured {
        return "\"$RESCUE_DATABASE_URL\"".to_owned();
    }
    let address = e.direct.get().map_or(e.target.address.as_str(), |direct| direct.address.as_str());
    let (host, port) = host_and_port(address);
    format!("-h {} -p {} -U postgres -d {}", argument(host), argument(port), argument(&e.target.database))
}

/// `pg_isready` for the target: 0 accepting, 1 refusing (57P03), 2 no answer. It says "accepting" with every slot
/// taken too, so it is only for waiting on a start.
pub(crate) fn until_ready(e: &Evidence) -> String {
    format!("until pg_isready -t 3 -h {} -p {}; do sleep 2; done", argument(&e.target.host), e.target.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, with_facts};

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(literal("app"), "'app'");
        assert_eq!(literal("o'neil"), "'o''neil'");
        assert_eq!(literal("a\\b\u{1b}[2J"), "E'a\\\\b\\u001b[2J'");
        assert_eq!(identifier("my \"app\""), "\"my \"\"app\"\"\"");
        assert_eq!(identifier("a\nb"), "U&\"a\\000ab\"");
        assert_eq!(argument("/var/lib/x"), "/var/lib/x");
        assert_eq!(argument("x'; rm -rf /"), "'x'\\''; rm -rf /'");
        assert_eq!(argument(""), "''");
    }

    #[test]
    fn a_statement_is_one_argument_of_the_shell() {
        assert_eq!(statement("select 'a'"), "\"select 'a'\"");
        assert_eq!(statement("alter role \"app\" reset all"), "'alter role \"app\" reset all'");
        let both = "alter role \"app\" set work_mem = '1MB'";
        assert_eq!(statement(both), "\"alter role \\\"app\\\" set work_mem = '1MB'\"");
        assert_eq!(statement("select '$(reboot)'"), "'select '\\''$(reboot)'\\'''");
    }

    #[test]
    fn repairs_go_in_by_the_role_that_may_make_them() {
        assert_eq!(psql(&healthy(), "select 1"), "psql \"$RESCUE_DATABASE_URL\" -c 'select 1'");
        let mut e = with_facts(|f| f.me.may_signal = true);
        assert!(psql(&e, "select 1").starts_with("psql \"$DATABASE_URL\""));
        assert!(psql_in(&e, "app", "vacuum").contains("-c '\\connect \"app\"' -c 'vacuum'"));
        e.rescue = Seen::Seen(e.front.clone());
        assert!(psql(&e, "select 1").starts_with("psql \"$RESCUE_DATABASE_URL\""));
        let mut alone = healthy();
        alone.rescue_configured = false;
        let by_name = "psql -h renderflow-db.internal -p 5432 -U postgres -d renderflow -c 'select 1'";
        assert_eq!(psql(&alone, "select 1"), by_name);
        assert!(until_ready(&e).starts_with("until pg_isready -t 3 -h renderflow-db.internal -p 5432;"));
    }
}
