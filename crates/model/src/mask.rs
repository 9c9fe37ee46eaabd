//! Masking of secrets in text of others' making: log lines, bodies of answers, errors of a peer. It masks too much
//! rather than too little. Queries have their own masking, see [`crate::MaskedSql`].

use crate::Secret;

/// Words after which a value is a secret, where a `=`, a `:` or a quote follows.
const KEYS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "authorization",
    "cookie",
];

/// The first `limit` characters of `text` on one line: passwords in URLs and values of `password=…`, `"token": "…"`,
/// `Authorization: …` and their like masked, control characters (a terminal would obey them) made spaces.
#[must_use]
pub fn excerpt(text: &str, limit: usize) -> String {
    // What is masked can only get longer by the mask, so text far beyond the limit need not be looked at.
    let near: String = text.chars().take(limit.saturating_mul(8).max(4096)).collect();
    let plain: String = near.chars().map(|c| if c.is_control() || is_bidi(c) { ' ' } else { c }).collect();
    let masked = mask_values(&mask_urls(&plain));
    let mut words = masked.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(limit) {
        words.truncate(end);
    }
    words
}

/// Characters that reorder what follows them (Unicode TR 9): a log line could rewrite a report with them.
const fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Masks the password of every `scheme://user:password@host`. A password that was not percent-encoded may hold `/`, `?`
/// and `#`, so the last `@` before a space or a quote ends it.
fn mask_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "\"'`<>".contains(c)).unwrap_or(after.len());
        let authority = &after[..end];
        match (authority.find(':'), authority.rfind('@')) {
            (Some(colon), Some(host)) if colon < host => {
                out.push_str(&authority[..=colon]);
                out.push_str(Secret::MASK);
                rest = &after[host..];
            }
            _ => rest = after,
        }
    }
    out.push_str(rest);
    out
}

/// Masks what follows a key.
fn mask_values(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let key = KEYS.iter().find(|key| lower[at..].starts_with(**key));
        if let Some((start, end)) = key.and_then(|key| value(text, at + key.len(), *key == "authorization")) {
            out.push_str(&text[at..start]);
            out.push_str(Secret::MASK);
            at = end;
        } else {
            let length = text[at..].chars().next().map_or(1, char::len_utf8);
            out.push_str(&text[at..at + length]);
            at += length;
        }
    }
    out
}

/// Where the value of a key that ends at `at` begins and ends, if one follows. `words`: the value is more than one word.
fn value(text: &str, at: usize, words: bool) -> Option<(usize, usize)> {
    // The rest of the key's own name (`password_file`, `secretKey`), the quote that closes it, spaces.
    let tail = text[at..].trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let tail = tail.trim_start_matches(['\\', '"', '\'']).trim_start();
    let sign = tail.starts_with(['=', ':']);
    let tail = tail.trim_start_matches(['=', ':', '>']).trim_start();
    // SQL has no sign: PASSWORD 'x'. There the quote before the value was taken for one that closes the key.
    let unsigned = || text[at..].trim_start().strip_prefix('\'').filter(|rest| rest.contains('\''));
    let tail = if sign { tail } else { unsigned()? };
    let opened = tail.trim_start_matches('\\');
    let quote = if sign { opened.chars().next().filter(|c| "\"'`".contains(*c)) } else { Some('\'') };
    let body = if sign && quote.is_some() { &opened[1..] } else { tail };
    let start = text.len() - body.len();
    let length = match quote {
        Some(quote) => end_of_quoted(body, quote),
        None if words => body.find([',', '"', '\'', ';', '}']),
        None => body.find(|c: char| c.is_whitespace() || ",;&\"'`)}]".contains(c)),
    };
    let end = start + length.unwrap_or(body.len());
    (end > start).then_some((start, end))
}

/// Where a quoted value ends: at the quote, unless a backslash escapes it within the value.
fn end_of_quoted(body: &str, quote: char) -> Option<usize> {
    let mut before = ' ';
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        if c == quote && (!escaped || body[at + 1..].starts_with([',', '}', ' ']) || at + 1 == body.len()) {
            return Some(if before == '\\' { at - 1 } else { at });
        }
        escaped = c == '\\' && !escaped;
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        for text in [
            "connect to postgres://app:hunter2@db.internal:5432/app failed",
            "connect to postgres://app:hun/hunter2#x?y@db.internal:5432/app failed",
            "connect to postgres://app:p@hunter2@db/app",
            "redis://:hunter2@cache:6379 and postgres://app:hunter2@db/app",
            "dsn host=db user=app password=hunter2 dbname=app",
            "dsn PASSWORD = 'hunter2 hunter2' dbname=app",
            "dsn password='it\\'s hunter2' dbname=app",
            r#"{"user":"app","password":"hunter2","db":"app"}"#,
            r#"{"password":"quo\"hunter2","db":"app"}"#,
            r#"msg="{\"password\":\"hunter2\"}" level=error"#,
            "PGPASSWORD=hunter2 psql",
            "{ password: 'hunter2', host: 'db' }",
            "?sslmode=require&password=hunter2&x=1",
            "Authorization: Bearer hunter2",
            "set-cookie: sid=hunter2; Path=/",
            "secret_key => \"hunter2\"",
            "ALTER ROLE app PASSWORD 'hunter2'",
            "token=hunter2",
        ] {
            let masked = excerpt(text, 200);
            assert!(!masked.contains("hunter2"), "{text} became {masked}");
            assert!(masked.contains(Secret::MASK), "{text} became {masked}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "FATAL: password authentication failed for user \"app\"",
            "postgres://app@db.internal:5432/app?sslmode=require",
            "GET http://api.internal:3000/api/v1/ready",
            "2026-11-23T03:12:09Z ERROR Database not initialised",
            "write CONNECT_TIMEOUT db.internal:5432",
        ] {
            assert_eq!(excerpt(text, 200), text);
        }
    }

    #[test]
    fn an_excerpt_is_short_and_tells_a_terminal_nothing() {
        assert_eq!(excerpt("\u{1b}[31mred\u{1b}[0m\r\n\tnext \u{202e}line", 200), "[31mred [0m next line");
        assert_eq!(excerpt(&"é".repeat(10_000), 200).chars().count(), 200);
        assert_eq!(excerpt("", 200), "");
        for text in ["password", "password=", "password='", "token:\\", "://", "a://:@", "é password=é"] {
            let _ = excerpt(text, 200);
        }
    }
}
