//! The opt-in queries about the next start, and the reading of their answers. Not in here: sending them.

use super::composite::{Columns, ReadError};
use super::uncommented;
use crate::preflight::{BaseBackup, BrokenLine};

const QUERIES: &str = include_str!("preflight.sql");

/// Base backups under way. `pg_stat_progress_basebackup` calls this as well; a role without pg_read_all_stats gets NULL
/// for what is not its own.
const BACKUPS: &str = "UNION ALL
SELECT 'backup', ROW(pid, param3, param2)::pg_catalog.text FROM pg_catalog.pg_stat_get_progress_info('BASEBACKUP')";

/// Most broken lines that are told of one file.
const MOST_LINES: usize = 50;

/// Longest text of one error, in characters.
const ERROR_LIMIT: usize = 300;

/// The three queries for a server of this `server_version_num`, 120000 or later, in the order in which they are to be
/// sent, each as one simple query.
pub(crate) struct Queries {
    /// For [`may`].
    pub(crate) may: String,
    /// For [`hba`].
    pub(crate) hba: String,
    /// For [`settings`].
    pub(crate) settings: String,
}

/// The queries.
pub(crate) fn queries(version_num: u32) -> Queries {
    let file = if version_num < 160_000 { "NULL" } else { "file_name" };
    let backups = if version_num < 130_000 { "" } else { BACKUPS };
    let sql = uncommented(QUERIES).replace("{HBA_FILE}", file).replace("{BACKUPS}", backups);
    let mut each = sql.split(';').map(|query| {
        // To a client of SQL_ASCII the server sends names and errors as they are.
        format!("SET LOCAL client_encoding TO SQL_ASCII;\n{}", query.trim())
    });
    let mut next = || each.next().unwrap_or_default();
    Queries { may: next(), hba: next(), settings: next() }
}

/// What the role may ask, and the base backups.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct May {
    pub(crate) hba: bool,
    pub(crate) settings: bool,
    pub(crate) base_backups: Vec<BaseBackup>,
}

type Rows = [Vec<Option<String>>];

/// Reads the first answer.
pub(crate) fn may(rows: &Rows) -> Result<May, ReadError> {
    let mut may = May::default();
    for (at, row) in rows.iter().enumerate() {
        let (tag, mut c) = super::answer::tagged(at, row)?;
        match tag {
            "may" => {
                may.hba = c.never_null(Columns::boolean)?;
                may.settings = c.never_null(Columns::boolean)?;
            }
            "backup" => may.base_backups.push(BaseBackup {
                pid: c.never_null(Columns::number)?,
                streamed_bytes: c.number()?,
                // -1 where the backup does not estimate it.
                total_bytes: c.number::<i64>()?.and_then(|n| u64::try_from(n).ok()),
            }),
            _ => return Err(ReadError::Untagged(at)),
        }
    }
    Ok(may)
}

/// Reads what is wrong with pg_hba.conf.
pub(crate) fn hba(rows: &Rows) -> Result<Vec<BrokenLine>, ReadError> {
    let mut broken = Vec::new();
    let mut rules: Option<u64> = None;
    for (at, row) in rows.iter().enumerate() {
        let (tag, mut c) = super::answer::tagged(at, row)?;
        match tag {
            "hba" => broken.push(BrokenLine {
                file: c.text()?,
                line: c.number()?,
                setting: None,
                error: excerpt(&c.never_null(Columns::text)?),
            }),
            "rules" => rules = c.number()?,
            _ => return Err(ReadError::Untagged(at)),
        }
    }
    if rules == Some(0) {
        // hba.c, load_hba: "configuration file … contains no entries".
        broken.push(BrokenLine { error: "it contains no entries".to_owned(), ..BrokenLine::default() });
    }
    broken.truncate(MOST_LINES);
    Ok(broken)
}

/// Reads what is wrong with the configuration files, and which settings wait for a restart. A setting that waits is
/// reported by the view as one that "could not be applied", and is none the worse for it.
pub(crate) fn settings(rows: &Rows) -> Result<(Vec<BrokenLine>, Vec<String>), ReadError> {
    let (mut broken, mut pending) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        let (tag, mut c) = super::answer::tagged(at, row)?;
        match tag {
            "setting" => broken.push(BrokenLine {
                file: c.text()?,
                line: c.number()?,
                setting: c.text()?,
                error: excerpt(&c.never_null(Columns::text)?),
            }),
            "pending" => pending.push(c.never_null(Columns::text)?),
            _ => return Err(ReadError::Untagged(at)),
        }
    }
    broken.retain(|line| line.setting.as_ref().is_none_or(|name| !pending.contains(name)));
    broken.truncate(MOST_LINES);
    Ok((broken, pending))
}

fn excerpt(text: &str) -> String {
    pgmedic_model::mask::excerpt(text, ERROR_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tag: &str, record: &str) -> Vec<Option<String>> {
        vec![Some(tag.to_owned()), Some(record.to_owned())]
    }

    #[test]
    fn three_queries_for_every_version() {
        for (version, file, backups) in
            [(120_000, "NULL", false), (150_000, "NULL", true), (160_000, "file_name", true)]
        {
            let q = queries(version);
            assert!(q.hba.contains(&format!("ROW({file}, line_number")), "{}", q.hba);
            assert_eq!(q.may.contains("BASEBACKUP"), backups);
            assert!(
                q.settings.contains("pg_show_all_file_settings") && q.settings.contains("pending_restart")
            );
            for sql in [q.may, q.hba, q.settings] {
                assert!(!sql.contains('{') && sql.starts_with("SET LOCAL"), "{sql}");
            }
        }
    }

    #[test]
    fn a_setting_that_waits_for_a_restart_is_not_broken() {
        let rows = [
            row("setting", "(/data/postgresql.conf,7,max_connections,\"setting could not be applied\")"),
            row("setting", "(/data/postgresql.conf,9,work_mem,\"setting could not be applied\")"),
            row("setting", "(/data/postgresql.conf,10,,\"syntax error\")"),
            row("pending", "(max_connections)"),
        ];
        let (broken, pending) = settings(&rows).unwrap();
        let lines: Vec<_> = broken.iter().map(|b| (b.line, b.setting.as_deref())).collect();
        assert_eq!(lines, [(Some(9), Some("work_mem")), (Some(10), None)]);
        assert_eq!(pending, ["max_connections"]);
    }

    #[test]
    fn an_hba_without_rules_is_broken_and_another_answer_is_an_error() {
        assert_eq!(hba(&[row("rules", "(4)")]), Ok(vec![]));
        assert_eq!(hba(&[row("rules", "(0)")]).unwrap()[0].error, "it contains no entries");
        let line =
            hba(&[row("hba", "(,3,\"invalid connection type \"\"hots\"\"\")"), row("rules", "(4)")]).unwrap();
        assert_eq!((line[0].line, line[0].error.as_str()), (Some(3), "invalid connection type \"hots\""));
        assert!(
            hba(&[row("x", "(1)")]).is_err()
                && may(&[vec![]]).is_err()
                && settings(&[row("setting", "(")]).is_err()
        );
        let told = may(&[row("may", "(t,f)"), row("backup", "(17,1024,-1)")]).unwrap();
        assert_eq!((told.hba, told.settings, told.base_backups[0].total_bytes), (true, false, None));
    }
}
