//! What the adapter uses of the machine: environment variables and a log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bridge::Environment;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// How much to log from the start, and to standard error: `info`, `debug` or
/// `trace`. Nothing unless it is set: editors show whatever an adapter writes
/// there.
const LOG_VARIABLE: &str = "PTVSD_BRIDGE_LOG";

/// This machine.
pub(crate) struct Machine {
    file: LogFile,
    set_level: Box<dyn Fn(LevelFilter) + Send + Sync>,
}

/// The file of `logFile`, once there is one.
#[derive(Debug, Clone, Default)]
struct LogFile(Arc<Mutex<Option<File>>>);

impl Machine {
    /// Sets up the log of this process.
    pub(crate) fn start_logging() -> Arc<Machine> {
        let file = LogFile::default();
        let chosen = std::env::var(LOG_VARIABLE).ok();
        let level = chosen.as_deref().and_then(|level| level.parse().ok());
        let (level, handle) = reload::Layer::new(level.unwrap_or(LevelFilter::OFF));
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(Log {
                file: file.clone(),
                to_stderr: chosen.is_some(),
            });
        tracing_subscriber::registry()
            .with(level)
            .with(lines)
            .init();
        Arc::new(Machine {
            file,
            set_level: Box::new(move |level| {
                let _: Result<(), reload::Error> = handle.reload(level);
            }),
        })
    }
}

impl Environment for Machine {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn has_file(&self, path: &str) -> bool {
        Path::new(path).is_file()
    }

    fn log_to(&self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        *self.file.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        if std::env::var_os(LOG_VARIABLE).is_none() {
            (self.set_level)(LevelFilter::DEBUG);
        }
        Ok(())
    }
}

struct Log {
    file: LogFile,
    to_stderr: bool,
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a Log;

    fn make_writer(&'a self) -> &'a Log {
        self
    }
}

impl Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.to_stderr {
            let _ = io::stderr().write_all(line);
        }
        let mut file = self.file.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut *file {
            let _ = file.write_all(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
