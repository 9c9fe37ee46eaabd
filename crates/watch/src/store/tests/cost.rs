//! What the file costs: `cargo test -p pgmedic-watch cost -- --ignored --nocapture`.

use super::{entry, file, incident, keep, open};
use crate::incidents::scene::{Scene, at};
use crate::store::looks::Looks;
use crate::store::op::Op;
use crate::store::samples::Sample;
use crate::store::sqlite::Book;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

/// A field of /proc/self/status, in kB.
fn kb(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
#[ignore = "a measurement"]
async fn what_the_file_costs() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = String::new();
    let before = kb("RssAnon");
    let store = open(&file(folder.path())).await;
    let opened = kb("RssAnon");
    writeln!(said, "open: {} kB of memory of its own", opened.saturating_sub(before)).unwrap();
    drop(store);

    let book = Book::open(Some(folder.path().join("cost.db")), keep(), Arc::default());
    let mut book = book.unwrap();
    let (mut looks, mut rows, mut spent) = (Looks::default(), 0, 0.0);
    // A thousand services at 1 s for ten minutes, written every 10 s.
    let begun = Instant::now();
    for second in 0..600 {
        for n in 0..1000 {
            looks.take(&Scene::look(&format!("s{n}")).seen(at(second * 1000 + n)));
        }
        if second % 10 == 9 {
            let batch = looks.drain(at(second * 1000));
            rows += batch.len();
            let from = Instant::now();
            book.run(Op::Looks(batch)).unwrap();
            spent += from.elapsed().as_secs_f64();
        }
    }
    let whole = begun.elapsed().as_secs_f64();
    writeln!(
        said,
        "600,000 looks: {rows} rows in 60 writes, {:.1} ms a write, {:.0} ns a look",
        spent / 0.06,
        spent * 1e9 / 6e5
    )
    .unwrap();
    writeln!(said, "(of {whole:.1} s in all, making the looks included)").unwrap();
    writeln!(said, "{}", of_samples(folder.path())).unwrap();
    let mut took = Vec::new();
    for n in 0..200 {
        let i = incident("a", n);
        let from = Instant::now();
        book.run(Op::Put(Some(Arc::clone(&i)), vec![entry(n, &i)])).unwrap();
        took.push(from.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    writeln!(said, "an incident with its alert: {:.2} ms (half), {:.2} ms (99 %)", took[100], took[198])
        .unwrap();
    writeln!(said, "after all of it: {} kB more than at the start", kb("RssAnon").saturating_sub(before))
        .unwrap();
    std::io::stdout().write_all(said.as_bytes()).unwrap();
}

/// A thousand services with three subjects each, for three hours: all rows of the finest tier.
fn of_samples(folder: &std::path::Path) -> String {
    let path = folder.join("samples.db");
    let mut book = Book::open(Some(path.clone()), keep(), Arc::default()).unwrap();
    let (mut spent, mut rows) = (0.0, 0);
    for minute in 0..180 {
        let of = |n: i64| Sample {
            service: format!("service-{:04}", n / 3).into(),
            server: "7300000000000000001".into(),
            subject: format!("data volume at /var/lib/postgresql/15/main{}", n % 3),
            unit: "bytes".to_owned(),
            at: at(minute * 60_000 + n),
            value: (minute * 1000 + n) as f64,
        };
        let batch: Vec<Sample> = (0..3000).map(of).collect();
        rows += batch.len();
        let from = Instant::now();
        book.run(Op::Samples(batch)).unwrap();
        book.run(Op::Prune(at(minute * 60_000))).unwrap();
        spent += from.elapsed().as_secs_f64();
    }
    drop(book);
    let db = rusqlite::Connection::open(&path).unwrap();
    let kept: u64 =
        db.query_row("select count(*) from sample", [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs();
    let bytes = std::fs::metadata(&path).unwrap().len();
    format!(
        "{rows} samples of 3,000 subjects: {:.1} us each, {:.1} ms a minute; {kept} rows, {} bytes each with their subjects",
        spent * 1e6 / rows as f64,
        spent * 1e3 / 180.0,
        bytes / kept
    )
}
