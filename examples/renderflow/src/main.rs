//! The program: settings from the environment, a listener, signals.

use renderflow::config::Config;
use renderflow::log::Log;
use renderflow::{ApiError, serve};
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let log = Log::stdout();
    match run(log.clone()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.error(error);
            ExitCode::FAILURE
        }
    }
}

async fn run(log: Log) -> Result<(), ApiError> {
    let config = Config::from_env(|name| std::env::var(name).ok())?;
    let failed = |what: String| move |source| ApiError::Io { what, source };
    let listener =
        TcpListener::bind(config.listen).await.map_err(failed(format!("listening on {}", config.listen)))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("SIGTERM".to_owned()))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("SIGINT".to_owned()))?;
    log.info(format_args!("listening on http://{}", config.listen));
    serve(config, listener, log, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}
