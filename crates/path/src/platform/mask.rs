//! What may be a secret is taken out of command lines and log messages before they become evidence.
//!
//! Not in here: SQL, whose literals `pgmedic_model::MaskedSql` masks, and passwords that we hold ourselves, which
//! `pgmedic_model::Secret` masks by type.

use pgmedic_model::Secret;

/// Words that name a secret where a value follows. `conninfo` holds a whole connection string.
const NAMES: [&str; 8] =
    ["password", "passwd", "passphrase", "secret", "token", "conninfo", "pgpass", "api_key"];

/// True where a name says that its value is a secret.
fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|secret| name.contains(secret))
}

/// A command line in one line of at most `limit` characters, without values that may be secrets.
pub(super) fn command(words: &[String], limit: usize) -> String {
    let mut shown: Vec<String> = Vec::with_capacity(words.len());
    let mut value_follows = false;
    for word in words {
        shown.push(match word.split_once('=') {
            _ if value_follows => Secret::MASK.to_owned(),
            Some((name, _)) if names_a_secret(name) => format!("{name}={}", Secret::MASK),
            _ => text(word, limit),
        });
        value_follows =
            !value_follows && word.starts_with('-') && !word.contains('=') && names_a_secret(word);
    }
    clip(&shown.join(" "), limit)
}

/// A message of at most `limit` characters on one line: the value after `password=`, `password '…'` and the like, and
/// the password in `scheme://user:password@host`, masked.
pub(super) fn text(message: &str, limit: usize) -> String {
    let flat = message.split_whitespace().collect::<Vec<_>>().join(" ");
    clip(&url_passwords(&named_values(&flat)), limit)
}

/// Cuts a text to `limit` characters, with an ellipsis where something is gone.
fn clip(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some(_) => text.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// Masks `NAME=value`, `NAME = 'value'` and `NAME 'value'` where the name is a secret's.
fn named_values(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some((start, name)) =
        NAMES.iter().filter_map(|n| Some((from + lower.get(from..)?.find(n)?, *n))).min()
    {
        let after_name = start + name.len();
        out.push_str(&text[from..after_name]);
        from = match secret_value(&text[after_name..]) {
            Some((lead, length)) => {
                out.push_str(&text[after_name..after_name + lead]);
                out.push_str(Secret::MASK);
                after_name + lead + length
            }
            None => after_name,
        };
    }
    out.push_str(&text[from..]);
    out
}

/// Where a value follows a secret's name: how far off it is and how long. Prose that follows (`password authentication
/// failed`) is no value: a value is quoted with `'` or comes after `=`.
fn secret_value(rest: &str) -> Option<(usize, usize)> {
    let open = rest.find(|c: char| c != ' ' && c != '=')?;
    let body = &rest[open..];
    if let Some(quoted) = body.strip_prefix('\'') {
        let length = quoted.find('\'').map_or(body.len(), |end| end + 2);
        return Some((open, length));
    }
    rest[..open].contains('=').then(|| (open, body.find([' ', '&', ',', ')']).unwrap_or(body.len())))
}

/// Masks the password of every `scheme://user:password@host`.
fn url_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let authority = tail.split([' ', '/', '"', '\'']).next().unwrap_or_default();
        rest = match authority
            .rsplit_once('@')
            .and_then(|(login, _)| Some((login.split_once(':')?, login.len())))
        {
            Some(((user, _), login)) => {
                out.push_str(user);
                out.push(':');
                out.push_str(Secret::MASK);
                &tail[login..]
            }
            None => tail,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_shows_its_options_and_no_secret() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (line, shown) in [
            ("postgres -D /data -p 5432", "postgres -D /data -p 5432"),
            ("postgres -c ssl_passphrase_command=hunter2", "postgres -c ssl_passphrase_command=***"),
            ("proxy --password hunter2 -v", "proxy --password *** -v"),
            ("proxy --token=hunter2 postgres://a:hunter2@h/db", "proxy --token=*** postgres://a:***@h/db"),
        ] {
            assert_eq!(command(&words(line), 200), shown);
        }
        assert_eq!(command(&words("postgres -D /data"), 10), "postgres …");
    }

    #[test]
    fn a_message_keeps_its_words_and_loses_its_secrets() {
        for (message, shown) in [
            (
                "password authentication failed for user \"app\"",
                "password authentication failed for user \"app\"",
            ),
            (
                "invalid primary_conninfo = 'host=a password=hunter2' here",
                "invalid primary_conninfo = *** here",
            ),
            (
                "connection to \"host=a password=hunter2 port=1\" failed",
                "connection to \"host=a password=*** port=1\" failed",
            ),
            ("ALTER ROLE x PASSWORD 'hunter2'", "ALTER ROLE x PASSWORD ***"),
            (
                "cannot reach https://u:hunter2@h/x or http://h:80/",
                "cannot reach https://u:***@h/x or http://h:80/",
            ),
            ("password=", "password="),
            ("Passwort: Grüße, password='hunter2", "Passwort: Grüße, password=***"),
        ] {
            assert_eq!(text(message, 300), shown);
        }
        assert_eq!(text("one\n\ttwo", 300), "one two");
    }
}
