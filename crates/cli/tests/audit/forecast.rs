//! The show: a disk that fills at a steady rate. The forecast of one minute is held against when it is full in truth, and
//! it is said before.

use crate::reference::well_set;
use crate::scene::{finding, found};
use pgmedic_lab::Parts;
use pgmedic_model::Timestamp;
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// The volume, and what is written to it each second: full after some two minutes.
const VOLUME_MB: u32 = 480;
const MB_A_SECOND: u32 = 3;
/// The forecast may be off by this part of the time that was left.
const OFF: f64 = 0.1;

/// Writes at a steady rate until the volume is full or it is dropped.
struct Filler {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<SystemTime>>,
    path: PathBuf,
}

impl Filler {
    fn start(path: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, file) = (Arc::clone(&stop), path.clone());
        let fill = move || {
            let mut file = std::fs::File::create(file).unwrap();
            let block = vec![0; 256 * 1024];
            let every = Duration::from_secs(1) / (4 * MB_A_SECOND);
            let mut next = Instant::now();
            while !told.load(Ordering::Relaxed) {
                if file.write_all(&block).is_err() {
                    break;
                }
                next += every;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            SystemTime::now()
        };
        Self { stop, thread: Some(std::thread::spawn(fill)), path }
    }

    /// Waits until it is full, and says when that was.
    fn full_at(mut self) -> Timestamp {
        Timestamp::from_system(self.thread.take().unwrap().join().unwrap())
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
        let _gone = std::fs::remove_file(&self.path);
    }
}

fn of_the_volume(report: &Value) -> &Value {
    let all = report["forecast"].as_array().unwrap();
    all.iter().find(|f| f["subject"].as_str().unwrap().starts_with("data volume")).unwrap()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn needs_root_a_disk_that_fills_steadily_is_full_when_the_forecast_said_before() {
    let scene = well_set(Parts { volume_mb: Some(VOLUME_MB), ..Parts::default() });
    assert_eq!(of_the_volume(&scene.audit(&[]))["says"], "one look tells no rate");
    let still = scene.audit(&["--watch-for", "9s"]);
    assert!(of_the_volume(&still)["says"].as_str().unwrap().starts_with("did not grow"), "{still:#}");

    let filler = Filler::start(scene.lab.volume().unwrap().path().join("filling"));
    let report = scene.audit(&["--watch-for", "1m"]);
    let said = of_the_volume(&report);
    println!("{} ({})", said["says"], said["confidence"]);
    assert_eq!(found(&report), ["fills-soon"], "{report:#}");
    assert_eq!(finding(&report, "fills-soon")["severity"], "critical");
    assert_eq!((said["confidence"].as_str(), said["looks"].as_u64()), (Some("likely"), Some(9)));
    let looked = Timestamp::from_system(SystemTime::now());
    let (ends, between) = (time(&said["ends_at"]), [time(&said["between"][0]), time(&said["between"][1])]);
    let truth = filler.full_at();
    let left = (truth.0 - looked.0) as f64;
    assert!(left > 10_000.0, "it was said {left} ms before");
    let off = (ends.0 - truth.0) as f64 / left;
    println!(
        "said {left:.0} ms before, off by {:.1} % of that; between {between:?}, in truth {truth}",
        off * 100.0
    );
    assert!(off.abs() <= OFF, "off by {off}: {said:#}");
}
