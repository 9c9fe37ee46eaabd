//! Which Postgres it is, from the words with which a server introduces itself.

/// `server_version_num` for a `server_version` as ParameterStatus reports it: `15.18 (Debian 15.18-0+deb12u1)` is
/// 150018, `18beta2` is 180000, `9.6.24` is 90624. None where it is no version of Postgres, such as PgBouncer's console
/// (`1.18.0/bouncer`). Forks that claim a version (CockroachDB: `13.0.0`, Redshift: `8.0.2`) are taken at their word.
///
/// Two parts since Postgres 10, three before (manual, "Versioning policy"; `PG_VERSION_NUM` in `meson.build`).
#[must_use]
pub fn version_num(text: &str) -> Option<u32> {
    let word = text.split_whitespace().next()?;
    if word.contains('/') {
        return None;
    }
    let numbers: String = word.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let mut parts = numbers.split('.').map(|part| part.parse::<u32>().ok());
    let major = parts.next()?.filter(|major| (1..1000).contains(major))?;
    let mut minor = || parts.next().flatten().unwrap_or(0).min(99);
    Some(match major {
        10.. => major * 10_000 + minor(),
        _ => major * 10_000 + minor() * 100 + minor(),
    })
}

#[cfg(test)]
mod tests {
    use super::version_num;

    #[test]
    fn every_way_of_introducing_oneself_is_understood_or_declined() {
        for (text, number) in [
            ("15.18 (Debian 15.18-0+deb12u1)", Some(150_018)),
            ("18.4", Some(180_004)),
            ("18beta2", Some(180_000)),
            ("17devel", Some(170_000)),
            ("16rc1", Some(160_000)),
            ("12.22", Some(120_022)),
            ("9.6.24", Some(90_624)),
            ("13.0.0", Some(130_000)),
            ("8.0.2", Some(80_002)),
            ("14.2 (EnterpriseDB Advanced Server 14.2.1)", Some(140_002)),
            ("1.18.0/bouncer", None),
            ("1.25.1/bouncer", None),
            ("", None),
            (" ", None),
            ("PostgreSQL", None),
            (".", None),
            ("99999999999999999999.1", None),
            ("15.99999999999999999999", Some(150_000)),
            ("15..", Some(150_000)),
        ] {
            assert_eq!(version_num(text), number, "{text}");
        }
    }
}
