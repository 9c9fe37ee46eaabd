//! Understudies of a real server: they say what it said, and hang where they are to.

use pgmedic_lab::postgres::DATABASE;
use pgmedic_lab::understudy::{Role, Understudies};
use pgmedic_lab::{Lab, Parts};
use std::time::Duration;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

async fn log_in(port: u16) -> Result<Client, tokio_postgres::Error> {
    let to = format!("host=127.0.0.1 port={port} user=renderflow dbname={DATABASE} sslmode=disable");
    let (client, connection) = tokio_postgres::connect(&to, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn ask(client: &Client) -> Option<String> {
    let asked = client.simple_query("select pg_backend_pid() || ' at ' || clock_timestamp()");
    let rows = tokio::time::timeout(Duration::from_millis(500), asked).await.ok()?.expect("an answer");
    rows.iter().find_map(|row| match row {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

#[test]
fn they_say_what_the_real_one_said_and_hang_where_they_are_to() {
    let lab = Lab::build(Parts::default()).unwrap();
    lab.postgres().set_hba("host all all 127.0.0.1/32 trust\n").unwrap();
    let all = Understudies::of(([127, 0, 0, 1], lab.postgres().port()).into()).unwrap();
    let answers = all.add(Role::Answers, 2).unwrap();
    let [mute, stalls, silent, dropped] = [Role::Mute, Role::Stalls, Role::Silent, Role::Dropped]
        .map(|role| all.add(role, 1).unwrap().first().copied().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let [one, other] = [log_in(answers[0]).await.unwrap(), log_in(answers[1]).await.unwrap()];
        let said = ask(&one).await.unwrap();
        assert_eq!(ask(&other).await.as_ref(), Some(&said), "from the same recording");
        assert_eq!(ask(&one).await, Some(said), "as often as it is asked");

        assert_eq!(ask(&log_in(mute).await.unwrap()).await, None);
        let stalled = log_in(stalls).await.unwrap();
        assert!(ask(&stalled).await.is_some());
        all.stall();
        assert_eq!(ask(&stalled).await, None);
        for hangs in [stalls, silent, dropped] {
            let waited = tokio::time::timeout(Duration::from_millis(500), log_in(hangs)).await;
            assert!(waited.is_err(), "{hangs}");
        }
        let connects = |port| {
            tokio::time::timeout(
                Duration::from_millis(500),
                tokio::net::TcpStream::connect(("127.0.0.1", port)),
            )
        };
        assert!(connects(silent).await.is_ok_and(|connected| connected.is_ok()));
        assert!(connects(dropped).await.is_err(), "its SYN is dropped");
    });
    assert_eq!(all.answered(), 4);
}
