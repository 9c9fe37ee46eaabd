//! Show 6: without a token nothing that acts is reachable, from a browser page on another origin neither. What a browser would
//! send is sent by hand; `browser` does the same with a real one.

use super::super::routes::Access;
use super::*;
use std::collections::BTreeSet;

const JSON: &str = "Content-Type: application/json\r\n";

/// Every route that acts, with a path that exists.
fn acting() -> Vec<String> {
    let acts = ROUTES.iter().filter(|r| r.access == Access::Act).map(|r| r.path);
    acts.map(|p| p.replace("{name}", "service-0000").replace("{id}", "20261123T031209-service-0000"))
        .collect()
}

#[tokio::test]
async fn without_a_token_nothing_that_acts_is_reachable_by_any_guess() {
    let server = serve(false).await;
    assert_eq!(acting().len(), 6);
    for target in acting() {
        for guess in
            ["", "Authorization: Bearer \r\n", "Authorization: Bearer x\r\n", "Authorization: Basic Og==\r\n"]
        {
            let answer = server.ask("POST", &target, &format!("{JSON}{guess}"), "{}").await;
            assert_eq!(answer.status, 403, "{target} {guess}");
            assert!(answer.json()["next"].as_str().unwrap().contains("set token ="), "{answer:?}");
        }
    }
    assert_eq!(server.orders(), Vec::<String>::new());
}

#[tokio::test]
async fn with_a_token_only_who_bears_it_acts() {
    let server = serve(true).await;
    let wrong = TOKEN.replace('9', "8");
    for (status, header) in [
        (401, String::new()),
        (401, format!("Authorization: Bearer {wrong}\r\n")),
        (401, format!("Authorization: {TOKEN}\r\n")),
        (401, format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n")),
        (401, format!("Cookie: token={TOKEN}\r\n")),
        (403, format!("Authorization: Bearer {READ_TOKEN}\r\n")),
        (200, format!("Authorization: bearer {TOKEN}\r\n")),
    ] {
        let answer = server.ask("POST", "/api/v1/pause", &format!("{JSON}{header}"), "{}").await;
        assert_eq!(answer.status, status, "{header}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
    }
    assert_eq!(
        server.get(&format!("/api/v1/pause?token={TOKEN}")).await.status,
        405,
        "no token in an address"
    );
    assert_eq!(server.orders().len(), 1);
}

#[tokio::test]
async fn who_guesses_is_not_heard_for_a_while() {
    let server = serve(true).await;
    let mut seen = BTreeSet::new();
    for n in 0..15 {
        let guess = format!("{JSON}Authorization: Bearer guess-{n}\r\n");
        let answer = server.ask("POST", "/api/v1/pause", &guess, "{}").await;
        assert_eq!(answer.header("retry-after").is_some(), answer.status == 429);
        seen.insert(answer.status);
    }
    assert_eq!(seen, [401, 429].into());
    assert_eq!(server.post("/api/v1/pause", "{}").await.status, 429);
    assert_eq!(server.get("/api/v1/services").await.status, 200, "reading on loopback needs none");
    assert_eq!(server.orders(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_page_of_another_origin_can_make_a_browser_send_neither_acts_nor_reads() {
    for token in [false, true] {
        let server = serve(token).await;
        let cross = "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n";
        // A page that somehow knows the token is refused as well.
        let bears = format!("{cross}Authorization: Bearer {TOKEN}\r\n");
        for target in acting() {
            let form = "Content-Type: application/x-www-form-urlencoded\r\n";
            let plain = "Content-Type: text/plain\r\n";
            for headers in [format!("{cross}{form}"), format!("{cross}{plain}"), format!("{bears}{JSON}")] {
                assert_eq!(
                    server.ask("POST", &target, &headers, "{}").await.status,
                    403,
                    "{target} {headers}"
                );
            }
            let preflight = format!(
                "{cross}Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n"
            );
            let answer = server.ask("OPTIONS", &target, &preflight, "").await;
            assert_eq!((answer.status, answer.header("access-control-allow-headers")), (403, None));
            // An older browser's form sends Origin alone; one without either header cannot send this type unasked.
            assert_eq!(
                server
                    .ask("POST", &target, "Origin: null\r\nContent-Type: text/plain\r\n", "{}")
                    .await
                    .status,
                403
            );
        }
        for target in ["/metrics", "/api/v1/services", "/api/v1/incidents", "/health"] {
            for headers in [
                cross,
                "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n",
                "Origin: http://localhost:3000\r\n",
            ] {
                assert_eq!(server.ask("GET", target, headers, "").await.status, 403, "{target} {headers}");
            }
            let socket = format!(
                "{cross}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n"
            );
            assert_eq!(server.ask("GET", target, &socket, "").await.status, 403);
            let rebound = format!("Host: evil.example:{}\r\n", server.at.port());
            assert_eq!(server.ask("GET", target, &rebound, "").await.status, 421, "DNS rebinding");
        }
        let rebound = format!(
            "Host: evil.example:{p}\r\nOrigin: http://evil.example:{p}\r\nSec-Fetch-Site: same-origin\r\n{JSON}",
            p = server.at.port()
        );
        assert_eq!(server.ask("POST", "/api/v1/pause", &rebound, "{}").await.status, 421);
        assert_eq!(server.orders(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn where_others_reach_it_reading_needs_a_token_too() {
    let config = || Config {
        token: Some(Secret::new(TOKEN)),
        read_token: Some(Secret::new(READ_TOKEN)),
        ..Config::default()
    };
    let server = serve_with(config(), fixture::board(1), Fake::default(), "0.0.0.0:0").await;
    server.board.beat();
    for target in ["/health", "/ready"] {
        assert_eq!(server.get(target).await.status, 200, "{target}");
    }
    for target in ["/metrics", "/api/v1/services", "/api/v1/openapi.json", "/api/v1/incidents"] {
        assert_eq!(server.get(target).await.status, 401, "{target}");
        for token in [TOKEN, READ_TOKEN] {
            let header = format!("Host: db-1.internal:9187\r\nAuthorization: Bearer {token}\r\n");
            assert_eq!(server.ask("GET", target, &header, "").await.status, 200, "{target}");
        }
    }
}

#[tokio::test]
async fn it_refuses_to_listen_where_others_reach_it_without_a_token() {
    for (config, at, expected) in [
        (Config::default(), "0.0.0.0:0", false),
        (Config::default(), "127.0.0.1:0", true),
        (Config { token: Some(Secret::new("short")), ..Config::default() }, "127.0.0.1:0", false),
        (Config { read_token: Some(Secret::new("short")), ..Config::default() }, "127.0.0.1:0", false),
    ] {
        let mut server = serve_with(config, Board::default(), Fake::default(), at).await;
        drop(server.end.take());
        assert_eq!((&mut server.task).await.unwrap().is_ok(), expected, "{at}");
    }
}
