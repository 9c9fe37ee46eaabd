//! What the Dockerfile, `compose.yaml` and `fly.toml` name is there, and is what the program takes. No image is built and
//! nothing is deployed: there is no registry here, and no Fly.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::path::{Path, PathBuf};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn text(file: &str) -> String {
    std::fs::read_to_string(here().join(file)).unwrap()
}

/// What stands after each of these words at the beginning of a line.
fn after<'a>(text: &'a str, word: &'a str) -> Vec<&'a str> {
    text.lines().filter_map(move |line| line.trim().strip_prefix(word)).map(str::trim).collect()
}

#[test]
fn the_dockerfile_builds_this_package_with_this_compiler_and_starts_its_program() {
    let dockerfile = text("Dockerfile");
    assert!(dockerfile.contains(&format!("--package {}", env!("CARGO_PKG_NAME"))));
    let image = format!("rust:{}-slim-bookworm AS build", env!("CARGO_PKG_RUST_VERSION"));
    assert_eq!(after(&dockerfile, "FROM")[0], image, "the compiler of rust-toolchain.toml");
    let copied = "--from=build /src/target/release/renderflow /usr/local/bin/renderflow";
    assert_eq!(after(&dockerfile, "COPY"), [". .", copied]);
    assert_eq!(after(&dockerfile, "ENTRYPOINT"), [r#"["renderflow"]"#]);
    // `--locked` wants the lock file, and what is built must not be what was built here before.
    let root = here().join("../..");
    assert!(root.join("Cargo.lock").is_file());
    let ignored = std::fs::read_to_string(root.join(".dockerignore")).unwrap();
    assert!(after(&ignored, "/target").len() == 1 && after(&ignored, "/.git").len() == 1, "{ignored}");
}

#[test]
fn every_file_that_compose_mounts_or_builds_from_is_there() {
    let compose = text("compose.yaml");
    let mounted: Vec<_> = after(&compose, "- ./").iter().map(|m| m.split(':').next().unwrap()).collect();
    assert_eq!(mounted, ["prometheus.yml", "alerts.yml"]);
    for file in mounted {
        assert!(here().join(file).is_file(), "{file}");
    }
    let build = after(&compose, "build:")[0];
    let (_, dockerfile) = build.trim_end_matches([' ', '}']).split_once("dockerfile: ").unwrap();
    assert!(build.contains("context: ../..") && here().join("../..").join(dockerfile).is_file(), "{build}");
    let url = after(&compose, "DATABASE_URL:")[0].replace("db:5432", "127.0.0.1:5432");
    let given = |name: &str| match name {
        "DATABASE_URL" => Some(url.clone()),
        "HOST" | "PORT" => Some(after(&compose, &format!("{name}:"))[0].trim_matches('"').to_owned()),
        _ => None,
    };
    let config = renderflow::config::Config::from_env(given).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:3000");
    assert!(compose.contains("ports: [\"127.0.0.1:3000:3000\"]") && !config.drill);
}

#[test]
fn fly_asks_the_port_and_the_paths_that_are_served() {
    let fly = text("fly.toml");
    assert!(here().join(after(&fly, "dockerfile =")[0].trim_matches('"')).is_file());
    let value =
        |key: &str| after(&fly, key)[0].split('#').next().unwrap().trim().trim_matches('"').to_owned();
    let given = |name: &str| match name {
        "DATABASE_URL" => Some("postgres://renderflow@renderflow-db.flycast/renderflow".to_owned()),
        "HOST" | "PORT" => Some(value(&format!("{name} ="))),
        _ => None,
    };
    let config = renderflow::config::Config::from_env(given).unwrap();
    assert_eq!(config.listen.to_string(), format!("[::]:{}", value("internal_port =")));
    assert!(after(&fly, "port =").iter().all(|port| *port == config.listen.port().to_string()), "{fly}");
    let routes = text("src/routes.rs");
    let paths = after(&fly, "path =");
    assert_eq!(paths.len(), 3, "{paths:?}");
    for path in paths {
        assert!(routes.contains(&format!(".route({path}, ")), "{path}");
    }
}
