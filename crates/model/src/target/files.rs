//! The two files that libpq reads: the connection service file and the password file. Their texts come in as values.

use super::error::{Place, TargetError};
use super::parameters::{LIBPQ, known};
use super::settings::FileText;
use crate::Secret;
use crate::nearest::nearest;

/// One line of a service's section.
type Line = (&'static str, String, Place);

/// A service's section (Postgres manual, "The Connection Service File"). None where the file does not have it.
///
/// # Errors
/// Where a line of the section is no `key=value`, or its key is unknown.
pub(super) fn service_section(name: &str, file: &FileText) -> Result<Option<Vec<Line>>, TargetError> {
    let mut section: Option<Vec<Line>> = None;
    for (number, line) in file.text.lines().enumerate() {
        let line = line.trim();
        let place = Place::Line { file: file.path.clone(), line: number + 1 };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix('[') {
            if section.is_some() {
                break;
            }
            if title.strip_suffix(']') == Some(name) {
                section = Some(Vec::new());
            }
            continue;
        }
        let Some(lines) = &mut section else { continue };
        let Some((key, value)) = line.split_once('=') else {
            return Err(TargetError::at(place, "not a line of the form key=value"));
        };
        match known(key) {
            Some(parameter) if parameter.key == "service" => {
                return Err(TargetError::at(place, "a service may not name another service"));
            }
            Some(parameter) => lines.push((parameter.key, value.to_owned(), place)),
            None => {
                let near = nearest(key, LIBPQ.iter().map(|p| p.key));
                let near = near.map_or(String::new(), |word| format!("; nearest: {word}"));
                return Err(TargetError::at(place, format!("unknown parameter{near}")));
            }
        }
    }
    Ok(section)
}

/// The first password that fits, of `host:port:database:user:password` lines (Postgres manual, "The Password File").
pub(super) fn password_for(text: &str, host: &str, port: u16, database: &str, user: &str) -> Option<Secret> {
    let port = port.to_string();
    let wanted = [host, port.as_str(), database, user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line.trim_end_matches('\r'));
        let (password, keys) = fields.split_last()?;
        let fits = keys.len() == wanted.len()
            && keys.iter().zip(wanted).all(|(key, wanted)| key.any || key.text == wanted);
        (fits && !password.text.is_empty()).then(|| Secret::new(password.text.as_str()))
    })
}

/// One field of a password file's line.
#[derive(Default)]
struct Field {
    text: String,
    /// An unescaped `*` alone: anything fits.
    any: bool,
}

/// The four fields and the password; fewer where the line has fewer. `\` escapes `:` and `\`.
fn fields(line: &str) -> Vec<Field> {
    let mut fields = vec![Field::default()];
    let mut raw = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let last = fields.len() == 5;
        if c == ':' && !last {
            close(&mut fields, &mut raw);
            fields.push(Field::default());
            continue;
        }
        raw.push(c);
        let literal = if c == '\\' { chars.next().inspect(|next| raw.push(*next)) } else { Some(c) };
        if let (Some(field), Some(literal)) = (fields.last_mut(), literal) {
            field.text.push(literal);
        }
    }
    close(&mut fields, &mut raw);
    fields
}

/// Ends a field: `*` counts as a wildcard only where it stands alone and unescaped.
fn close(fields: &mut [Field], raw: &mut String) {
    if let Some(field) = fields.last_mut() {
        field.any = raw == "*";
    }
    raw.clear();
}
