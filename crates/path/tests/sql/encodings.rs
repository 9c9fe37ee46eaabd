//! pg_stat_activity shows the bytes of every database to every other, whatever their encodings.

use crate::server::Server;

pub(crate) fn texts_of_every_encoding_are_survived(server: &mut Server) {
    let databases = ["UTF8", "SQL_ASCII", "LATIN1", "EUC_JP"];
    for encoding in databases {
        server.postgres().run(&format!(
            "create database \"of {encoding} \\ '\" encoding '{encoding}' lc_collate 'C' lc_ctype 'C' template template0"
        ));
    }
    let name = |encoding: &str| format!("of {encoding} \\ '");
    // What one encoding writes as one byte, another takes for the beginning of a character: at the text's end, and
    // where left() cuts.
    let cut = format!("begin; select 1 as \"é{}é\"", "x".repeat(379));
    let texts = [cut.as_str(), "begin; select '\\x\\' as \"quo\"\"te\"", "begin; select 1 -- é"];
    let mut sessions = Vec::new();
    for encoding in databases {
        for text in texts {
            let session = server.session("app", &name(encoding));
            // EUC_JP has no é.
            session.run(&if encoding == "EUC_JP" { text.replace('é', "日") } else { text.to_owned() });
            sessions.push(session);
        }
    }
    let ascii = server.session("app", &name("SQL_ASCII"));
    ascii.run("begin; select txid_current(); prepare transaction E'gid \\351 \\\\ \\377'");
    for encoding in databases {
        let facts = server.facts("monitor", &name(encoding));
        assert_eq!(facts.me.database, name(encoding));
        assert_eq!(facts.sessions.idle_in_transaction, sessions.len() as u64);
        assert_eq!(facts.sessions.idle, 1);
        assert_eq!(facts.sessions.sessions.len(), sessions.len() + 1);
        assert_eq!(facts.sessions.prepared[0].gid, "gid \u{fffd} \\ \u{fffd}");
        for session in &facts.sessions.sessions {
            assert!(!session.query.as_str().is_empty());
            assert!(databases.iter().any(|d| session.database == name(d)), "{}", session.database);
        }
    }
    ascii.run("rollback prepared E'gid \\351 \\\\ \\377'");
    drop(sessions);
    drop(ascii);
    server.wait_alone();
    for encoding in databases {
        server.postgres().run(&format!("drop database \"{}\"", name(encoding)));
    }
}
