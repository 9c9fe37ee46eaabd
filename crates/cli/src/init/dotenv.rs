//! Variables as `.env` files, systemd's EnvironmentFile and compose's env_file write them: `NAME=value`, one a line.
//!
//! No dialect is read whole: quotes at both ends are taken off, `export` is skipped, a comment after a bare value is cut.
//! Continued lines and commands are not read. Not in here: what is done with the values, which may be secrets.

/// Most variables of one file.
const MANY: usize = 2000;

/// One variable and its line, from 1.
pub(super) struct Variable<'t> {
    pub(super) name: &'t str,
    pub(super) value: String,
    pub(super) line: usize,
}

/// Reads a file's variables in their order.
pub(super) fn read(text: &str) -> Vec<Variable<'_>> {
    let lines = text.lines().enumerate();
    lines.filter_map(|(at, line)| Some((at + 1, one(line)?))).take(MANY).map(variable).collect()
}

fn variable<'t>((line, (name, value)): (usize, (&'t str, String))) -> Variable<'t> {
    Variable { name, value, line }
}

/// `NAME=value` of one line.
fn one(line: &str) -> Option<(&str, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end();
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain.then(|| (name, unquoted(value.trim())))
}

/// A value without the quotes around it, or without the comment behind it.
pub(super) fn unquoted(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote) {
            return inner.split(quote).next().unwrap_or_default().to_owned();
        }
    }
    value.split(" #").next().unwrap_or_default().trim_end().to_owned()
}

/// The value with `${NAME}`, `$NAME`, `${NAME:-default}`, `${NAME-default}` and `$$` replaced, as compose does it. None where a
/// variable without a default is not known.
pub(super) fn interpolated(value: &str, known: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut out = String::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let end = inner.find('}')?;
            out.push_str(&braced(&inner[..end], known)?);
            rest = &inner[end + 1..];
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            out.push_str(&known(&rest[..end])?);
            rest = &rest[end..];
        }
    }
    out.push_str(rest);
    Some(out)
}

fn braced(inner: &str, known: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, more) = inner.split_at(end);
    let set = known(name);
    match more.get(..2) {
        Some(":-") => Some(set.filter(|v| !v.is_empty()).unwrap_or_else(|| more[2..].to_owned())),
        _ => match more.strip_prefix('-') {
            Some(default) => Some(set.unwrap_or_else(|| default.to_owned())),
            None => set,
        },
    }
}

/// The names of the variables that a value is made of.
pub(super) fn names_in(value: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in value.split('$').skip(1) {
        let part = part.trim_start_matches('{');
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        if end > 0 {
            names.push(part[..end].to_owned());
        }
    }
    names
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_with_their_lines() {
        let text = "# c\nexport A=1 # one\nB = \"x # y\"\n\nnot a variable\nC='q'\n1-D=2\nE=\n";
        let all: Vec<_> = read(text).into_iter().map(|v| (v.name.to_owned(), v.value, v.line)).collect();
        let wanted = [("A", "1", 2), ("B", "x # y", 3), ("C", "q", 6), ("E", "", 8)];
        assert_eq!(all, wanted.map(|(n, v, l)| (n.to_owned(), v.to_owned(), l)));
    }

    #[test]
    fn composes_variables_are_filled_in() {
        let known = |name: &str| (name == "A").then(|| "1".to_owned());
        for (text, wanted) in [
            ("x", Some("x")),
            ("$A/${A}", Some("1/1")),
            ("${B:-d}${B-e}", Some("de")),
            ("$$A", Some("$A")),
            ("${B}", None),
            ("${B:?no}", None),
            ("${A", None),
            ("é$Aé", Some("é1é")),
        ] {
            assert_eq!(interpolated(text, &known).as_deref(), wanted, "{text}");
        }
        assert_eq!(names_in("a${X}b$Y"), ["X", "Y"]);
    }
}
