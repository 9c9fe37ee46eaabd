//! The screen: its size, its snapshots, and what must never reach a terminal.

use super::*;
use crate::render::samples;

fn look(width: usize) -> Look {
    Look { colour: false, unicode: true, width }
}

/// A line without its colours.
fn uncoloured(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + part.split_once('m').map_or("", |(_, rest)| rest))
}

fn widest(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with("    psql")).map(width).max().unwrap_or(0)
}

#[test]
fn a_broken_path_on_one_screen() {
    let text = screen(&samples::slots_exhausted(), &look(80));
    let expected = "\
shop  postgres://app@db:5432/shop                              CRITICAL in 14 ms

  ✘ app          3.1 ms  503, db: disconnected
  ✔ dns          0.4 ms  1 address
  ✔ network      0.1 ms  10.0.0.1:5432 connected
  ✔ proxy        0.2 ms  TLS offered
  ✔ tls          2.0 ms  TLSv1.3
  ✔ startup      1.0 ms  scram-sha-256
  ✘ admission    1.0 ms  97 of 97 ordinary slots taken  ◀ slots-exhausted
  · server, sessions, storage: not reached

Root cause: slots-exhausted (certain)
  97 of 97 ordinary slots taken; 91 by shop-api, idle over 10 min
    walked    10.0.0.1:5432: FATAL 53300: sorry, too many clients already
    reported  pg_stat_activity: 91 sessions of shop-api are idle
    or        role-limit-reached; decided by: a login as another role

What to do next
  end the 20 longest idle sessions of shop-api
    psql -c \"select pg_terminate_backend(1)\"
  more: pgmedic explain slots-exhausted

symptom        readiness-failing: /api/v1/ready says 503

not seen       host: the target is on another host
";
    assert_eq!(text, expected);
    assert!(text.lines().count() <= 28);
}

#[test]
fn front_and_direct_side_by_side() {
    let text = screen(&samples::proxy_hung(), &look(80));
    let expected = "\
shop  postgres://app@db:5432/shop                              CRITICAL in 3.0 s

               front                           around the proxy
  app        ○ nothing configured
  dns        ✔ 0.4 ms  1 address             ✔ 0.4 ms  1 address
  network    ✔ 0.1 ms  connected             ✔ 0.1 ms  connected
  proxy      ✘ 3.0 s  silent                 ✔ 0.2 ms  TLS offered
             ◀ proxy-hung
  tls        · not reached                   ✔ 2.0 ms  TLSv1.3
  startup    · not reached                   ✔ 1.0 ms  scram-sha-256
  · admission, server, sessions, storage: not reached
";
    assert!(text.starts_with(expected), "{text}\n{expected}");
    assert!(widest(&text) <= 80, "{text}");
}

#[test]
fn a_healthy_path_says_so() {
    let text = screen(&samples::healthy(), &look(80));
    assert!(text.contains("Nothing is wrong with what could be seen."), "{text}");
    assert!(!text.contains("Root cause"));
}

#[test]
fn every_width_holds() {
    for report in samples::all() {
        for width in [40, 60, 80, 120] {
            for unicode in [true, false] {
                let text = screen(&report, &Look { colour: false, unicode, width });
                assert!(widest(&text) <= width, "{width} {unicode}\n{text}");
                assert!(unicode || text.is_ascii(), "{text}");
            }
        }
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    for report in samples::all() {
        let plain = screen(&report, &look(80));
        let coloured = screen(&report, &Look { colour: true, ..look(80) });
        assert!(coloured.contains('\u{1b}'));
        let bare: Vec<_> = coloured.lines().map(|line| uncoloured(line).trim_end().to_owned()).collect();
        assert_eq!(bare.join("\n") + "\n", plain);
    }
}

#[test]
fn what_a_server_says_moves_no_cursor() {
    let text = screen(&samples::hostile(), &look(80));
    assert!(!text.chars().any(|c| c != '\n' && crate::render::text::is_hidden(c)), "{text:?}");
}
