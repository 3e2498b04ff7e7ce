//! Where log lines go and how they look. Everything goes to stderr or the journal, never to stdout.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogFormat;
use crate::config::LogSettings;

/// Starts logging. To be called once.
///
/// # Errors
/// The journal cannot be reached, or logging was started before.
pub fn start(settings: &LogSettings) -> Result<(), String> {
    let filter = EnvFilter::try_new(&settings.level).map_err(|error| format!("log.level: {error}"))?;
    let stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match settings.format {
        LogFormat::Text => stderr.with_ansi(false).boxed(),
        LogFormat::Json => stderr.json().boxed(),
        LogFormat::Journald => tracing_journald::layer()
            .map_err(|error| format!("the journal cannot be reached ({error}); set log.format = \"text\""))?
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
        .map_err(|error| error.to_string())
}
