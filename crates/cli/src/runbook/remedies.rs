//! The four remedies of the old runbook, each corrected where the fault matrix shows it to be dangerous, and what is looked
//! at before any restart. A remedy whose cause the service cannot have is left out. Not in here: the other causes (`cause`).

use super::applies::left_out;
use super::order::four;
use super::platform::{Kit, Platform};
use super::sql;
use super::subject::Subject;
use super::text::{Correction, ms, share, shell};
use pgmedic_path::paste::argument;

/// The chapter.
pub(super) fn chapter(s: &Subject, kit: &Kit) -> String {
    let mut out = format!(
        "## Remedies\n\nLeast disruptive first. `pgmedic fix {}` does them by the same rules: it names whom it touches, asks, \
         keeps to the policy, writes it down, and walks again.\n",
        s.whom
    );
    let mut number = 0;
    for (title, cause) in four() {
        if left_out(cause, s).is_some() {
            continue;
        }
        number += 1;
        let fly = matches!(s.platform, Platform::Fly { .. });
        let title = match (fly, cause.id) {
            (true, "proxy-hung") => "Fly.io proxy timeout",
            (true, "name-not-found") => "DNS resolution (Fly internal)",
            _ => title,
        };
        out += &format!("\n### {number}. {title}\n\n");
        out += &match cause.id {
            "slots-exhausted" => slots(s),
            "proxy-hung" => proxy(s, kit),
            "disk-full" => storage(s, kit),
            "name-not-found" => dns(s, kit),
            _ => String::new(),
        };
        out += &format!(
            "\nIts page: [{0}](#{0}). Rehearse it on a throwaway: `pgmedic drill {0} --fix`.\n",
            cause.id
        );
    }
    out += &restart(s, kit);
    out
}

fn slots(s: &Subject) -> String {
    let p = &s.policy;
    let mut out = format!(
        "1. [Who holds them](#who)? Locks first. Then [who idles](#end-idle-sessions), and whose they are: sessions idle for over \
         {idle} mean that a pool's idle timeout is not in force.\n\
         2. End *one class* of *one application*, the longest idle first, and no more than are needed. `pgmedic fix {whom} --only \
         terminate-idle-sessions` does that.\n\
         3. Look again after a minute. If the count is back, stop: a pool re-opens what is ended. Restart one instance of that \
         application, then the next; or `alter role … connection limit n`, which takes no restart.\n\n\
         <a id=\"end-idle-sessions\"></a>Who idles for over {idle}, by application and role:\n\n",
        idle = ms(p.idle_after_ms),
        whom = s.whom
    );
    out += &sql::idle(s);
    out += &format!(
        "\nKill idle connections, if needed: those of one application, until {} of the ordinary slots are free, at most {}. It \
         leaves alone superusers, replication, advisory locks, dumps, migrations, exporters, pgmedic{}; and whoever has moved \
         meanwhile. Who waits for a NOTIFY idles, too, and cannot be told apart: that is why the application is named. With the name as it stands it ends nobody. `t` says that a session was signalled, not that it is gone: count \
         again.\n\n",
        share(p.keep_free),
        p.max_terminations,
        protected(s)
    );
    out += &sql::end_idle(s);
    out += &Correction {
        who: super::old(s),
        says: "SELECT pg_terminate_backend(pid) FROM pg_stat_activity\n\
               WHERE state = 'idle' AND query_start < now() - interval '10 minutes';"
            .to_owned(),
        why: "`query_start` is when the last query *began*: a session that has just finished a report of eleven minutes counts as \
              idle for eleven; `state_change` is when it became idle. It ends everybody's at once, in every database and of every \
              role: protected ones, exporters, holders of advisory locks, walsenders between two commands, and, as a superuser, \
              superusers. It has no limit and no order, so that a healthy pool re-opens it all in one moment. It \
              gives a column of `t` and not whom it ended. And a pid from a list of a minute ago may be somebody else's by \
              now: above, `backend_start` and `state_change` are held against it in the statement that signals."
            .to_owned(),
        instead: "the statement above.".to_owned(),
    }
    .text();
    out
}

/// ` and billing*`: whom the policy protects.
fn protected(s: &Subject) -> String {
    let protect = &s.policy.protect;
    let all: Vec<String> = protect
        .applications
        .iter()
        .chain(&protect.roles)
        .map(|name| format!("`{}`", name.replace('`', "'")))
        .collect();
    if all.is_empty() {
        String::new()
    } else {
        format!(", and those whom the policy protects ({})", all.join(", "))
    }
}

fn proxy(s: &Subject, kit: &Kit) -> String {
    let mut out = match &s.platform {
        Platform::Fly { .. } => "Fly Postgres uses an internal proxy: HAProxy on 5432 of the database's machine, Postgres itself on \
                                 5433. If connections hang, a hung proxy, a full one and a hung server look just the same from outside."
            .to_owned(),
        _ => "If connections hang: a hung proxy, a full one and a hung server look just the same from outside.".to_owned(),
    };
    out += &format!(
        " Tell them apart by going around (`pgmedic check {}` does both):\n\n\
         | through the proxy | around it | it is | so |\n|---|---|---|---|\n\
         | silence | logs in | [proxy-hung](#proxy-hung) or [proxy-client-limit](#proxy-client-limit) | restart the proxy, nothing else |\n\
         | silence | silence | [server-hung](#server-hung) | the storage first; restart it last |\n\
         | closed at once | logs in | [proxy-without-backend](#proxy-without-backend) | see why its check fails |\n\
         | closed at once | refused | [server-down](#server-down) | space first, then start it |\n",
        s.whom
    );
    out += &shell(&kit.around);
    out += "\n**The proxy alone.** Postgres is well: leave it alone.\n";
    out += &shell(&kit.restart_proxy);
    out += "\n**Then the API**, whose pool holds dead connections: one instance, see that it is ready, the next.\n";
    out += &shell(&kit.restart_api);
    if kit.restart_proxy.is_empty() || kit.restart_api.is_empty() {
        out += "\nWhat is missing here is not configured: `proxy` and `api`, or `restart_proxy` and `restart_api`, in `[service.platform]`.\n";
    }
    out += &api_correction(s);
    out += &db_correction(s);
    out
}

fn api_correction(s: &Subject) -> String {
    let says = match &s.platform {
        Platform::Fly { api: Some(api), .. } => {
            format!("# Restart the API to reset connection pool\nfly machines restart --app {api}")
        }
        _ => "restart the API".to_owned(),
    };
    let id = if says.contains("fly ") {
        "Without an id it asks which machines (in a script it refuses: `a machine ID must be specified when not running \
         interactively`), and whoever ticks all restarts all of them, one after the other. "
    } else {
        ""
    };
    Correction {
        who: super::old(s),
        says,
        why: format!(
            "{id}While the proxy hangs, they come back into the same silence. Once it is well, all that were restarted log in at one \
             moment, which can use every slot up by itself ([reconnect-storm](#reconnect-storm)). And it frees no slot that a \
             vanished machine holds: without keepalives the server learns of that after two hours \
             ([ghost-sessions](#ghost-sessions))."
        ),
        instead: "mend the proxy first; then one machine, readiness, the next.".to_owned(),
    }
    .text()
}

fn db_correction(s: &Subject) -> String {
    let says = match &s.platform {
        Platform::Fly { db: Some(db), .. } => {
            format!("# If DB itself is unresponsive, restart it\nfly machines restart --app {db}")
        }
        _ => "if the database does not answer, restart it".to_owned(),
    };
    Correction {
        who: super::old(s),
        says,
        why: "On a full disk it is the end: the server answered until then, and now goes round in a crash loop until there is \
              space. A hung proxy looks just like a hung server, and is not mended by it: it costs a recovery and everybody's \
              session. A broken pg_hba.conf, a bad setting, a key file of the wrong mode were passed over by the running server, \
              and stop the next start. A server that is recovering begins anew."
            .to_owned(),
        instead: "[before any restart of the database](#before-any-restart-of-the-database).".to_owned(),
    }
    .text()
}

fn storage(s: &Subject, kit: &Kit) -> String {
    let mut out = "**Do not restart anything.** A server with no space left goes on answering, until a checkpoint or a restart.\n".to_owned();
    out += &shell(&kit.disk);
    if kit.disk.is_empty() {
        out += "\nNobody is configured who shows the disk: `df -h` and `df -i` of the data folder and of `pg_wal`, on the server's host.\n";
    }
    out += "\nWhat takes it:\n\n";
    out += &sql::storage();
    out += "\n1. Delete what is known to be garbage: a ballast file, rotated logs. Never anything in `pg_wal`.\n\
            2. Extend the volume. It costs money and never shrinks";
    out += &match s.policy.max_volume_gb {
        Some(most) => format!("; at most {most} GB without asking (`max_volume_gb`).\n"),
        None => "; `max_volume_gb` is not set, so that pgmedic extends none.\n".to_owned(),
    };
    out += &shell(&kit.extend);
    if kit.extend.is_empty() {
        out += "\nNo command is configured for that: `extend_volume` in `[service.platform]`.\n";
    }
    out += "\n3. Mend what fills it, or it is full again: [slot-retains-wal](#slot-retains-wal), \
            [archiver-failing](#archiver-failing), [temp-files-fill-disk](#temp-files-fill-disk), [logs-fill-disk](#logs-fill-disk).\n\
            4. Only a server that is down already is started, now that there is space.\n";
    let database = if s.database() == "DATABASE" { s.name.clone() } else { s.database() };
    out += &Correction {
        who: super::old(s),
        says: format!("SELECT pg_size_pretty(pg_database_size('{}'));", database.replace('\'', "''")),
        why: "It is the size of one database's tables and indexes. It says nothing of the disk: neither how much is free, nor what \
              WAL, replication slots, temporary files, logs and other databases take; and WAL is what fills most disks at night."
            .to_owned(),
        instead: "free bytes *and* free inodes on the server's own host, then the list above.".to_owned(),
    }
    .text();
    if let Platform::Fly { db: Some(db), .. } = &s.platform {
        out += &extend_correction(db);
    }
    out
}

fn extend_correction(db: &str) -> String {
    Correction {
        who: "The old runbook",
        says: format!("fly volumes extend <vol-id> -s 20 --app {db}"),
        why: "`-s 20` is the size in all, not 20 more, and a volume never shrinks: on one of 20 GB or more it does nothing for you. \
              Every member of the cluster has its own volume; the wrong id grows the wrong one. Over 90 % Fly's Postgres makes \
              itself read-only (its older generation takes itself off the proxy), and lifts that by itself once there is space: \
              nothing needs a restart for it. Only some older machines must be stopped and started to see the space, and flyctl says \
              so; and a postmaster that has died of it is not started by anybody."
            .to_owned(),
        instead: format!(
            "`fly volumes list --app {db}` for the id and the size that it has, then the size in all, or `-s +5`. Then `df`. Then, \
             only where Postgres is gone, [server-down](#server-down)."
        ),
    }
    .text()
}

fn dns(s: &Subject, kit: &Kit) -> String {
    let name = s.host_name().unwrap_or_else(|| "HOST".to_owned());
    let mut out = format!("Verify that `{name}` resolves, where the API runs:\n");
    out += &shell(&kit.resolve);
    for server in &s.nameservers {
        let port = if server.port() == 53 { String::new() } else { format!(" -p {}", server.port()) };
        out += &shell(&[super::platform::line(
            "another nameserver, asked by itself",
            format!("dig {} @{}{port}", argument(&name), server.ip()),
        )]);
    }
    let says = match &s.platform {
        Platform::Fly { api: Some(api), .. } => {
            format!("fly ssh console --app {api} -C \"getent hosts {name}\"")
        }
        _ => format!("getent hosts {}", argument(&name)),
    };
    out += &Correction {
        who: super::old(s),
        says,
        why: "It shows what libc answers in that one machine, by whichever nameserver answered first, one family only. It cannot tell \
              a name that is gone (NXDOMAIN) from one without an address, a silent nameserver from a failing one, or whether \
              another machine is answered something else; and an answer says nothing of whether the address is still the \
              database's: an old one can lead to a dead host, or to the wrong server."
            .to_owned(),
        instead: format!("it is a first look. Then each nameserver by itself, and every address it gives: `pgmedic check {}` does that.", s.whom),
    }
    .text();
    out += "\nDo not write today's address into the URL: it moves. A time-out of the client does not bound the lookup: with 3 s \
            it took 10 s to hear that nobody answers.\n";
    out
}

/// What is looked at before a restart.
fn restart(s: &Subject, kit: &Kit) -> String {
    let mut out = format!(
        "\n### Before any restart of the database\n\nAll of it, each time; `pgmedic fix {whom}` refuses a restart where one of \
         them does not hold, and where it cannot tell. `pgmedic audit {whom}` says the same without restarting.\n\n\
         1. Free bytes and free inodes, of data and of WAL.\n\
         2. It is not recovering. If it is, wait: a restart begins anew.\n\
         3. Nothing of this (it gives no row):\n\n",
        whom = s.whom
    );
    out += &sql::preflight();
    out += "\n4. It is the server that is silent, and not what stands in front of it.\n\nNever `kill -9` a process of Postgres: all others \
            end with it, and it recovers. Never remove `postmaster.pid`.\n";
    out += &shell(&kit.restart_db);
    out += "\nOne that is down:\n";
    out += &shell(&kit.start_db);
    if kit.restart_db.is_empty() {
        out += "\nNo command is configured for that: `db`, or `restart_db` and `start_db`, in `[service.platform]`.\n";
    }
    out
}
