//! The operator's log: one JSON object a line. Beside what a line says itself it has the migration, namespace, phase and operation that
//! it was written about, on the same level, so that a query needs no knowledge of the code.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Fields of surrounding work that lines carry. Others, such as those of libraries, are left out.
const CONTEXT: [&str; 4] = ["namespace", "migration", "phase", "operation"];

/// From which level on which modules are logged.
#[derive(Clone, Debug)]
pub struct LogLevels(Targets);

impl FromStr for LogLevels {
    type Err = String;

    /// `info`, or levels for modules besides: `info,holdfast::mysql=debug,kube=warn`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut levels = Targets::new();
        for part in text.split(',').map(str::trim) {
            let (module, level) = match part.split_once('=') {
                Some((module, level)) => (Some(module.trim()), level.trim()),
                None => (None, part),
            };
            // The parser also takes numbers, and nothing at all, which say nothing to people.
            let known = ["off", "error", "warn", "info", "debug", "trace"].contains(&level.to_lowercase().as_str());
            let level = level.parse::<LevelFilter>().ok().filter(|_| known).ok_or_else(|| {
                format!(
                    "{part:?} names no level: use off, error, warn, info, debug or trace, or MODULE=LEVEL, such as \
                     info,holdfast::mysql=debug"
                )
            })?;
            levels = match module {
                Some("") => return Err(format!("{part:?} names no module: write MODULE=LEVEL")),
                Some(module) => levels.with_target(module, level),
                None => levels.with_default(level),
            };
        }
        Ok(Self(levels))
    }
}

/// Begins to log to standard output.
///
/// # Errors
/// When this process logs already.
pub fn begin(levels: &LogLevels) -> Result<(), String> {
    let lines = tracing_subscriber::fmt::layer().fmt_fields(JsonFields::new()).event_format(Lines);
    let layer = lines.with_filter(levels.0.clone());
    tracing_subscriber::registry().with(layer).try_init().map_err(|error| format!("beginning to log: {error}"))
}

/// Writes an event as one line of JSON.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Line(Vec::new());
        line.set("timestamp", Timestamp::now().to_string().into());
        line.set("level", metadata.level().as_str().into());
        line.set("target", metadata.target().into());
        line.set("message", "".into());
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let Some(fields) = extensions.get::<FormattedFields<N>>() else { continue };
            let Ok(Value::Object(fields)) = serde_json::from_str(&fields.fields) else { continue };
            // Inner work comes later and says it more exactly.
            for (name, value) in fields.into_iter().filter(|(name, _)| CONTEXT.contains(&name.as_str())) {
                line.set(&name, value);
            }
        }
        event.record(&mut line);
        line.write(&mut writer)
    }
}

/// The fields of a line, in the order in which they are written.
struct Line(Vec<(String, Value)>);

impl Line {
    fn set(&mut self, name: &str, value: Value) {
        match self.0.iter_mut().find(|(present, _)| present == name) {
            Some((_, present)) => *present = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    fn write(&self, writer: &mut Writer<'_>) -> fmt::Result {
        for (place, (name, value)) in self.0.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            write!(writer, "{before}{}:{value}", Value::from(name.as_str()))?;
        }
        writer.write_str("}\n")
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines that are logged meanwhile.
    fn logged(levels: &str, work: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(Lines)
            .with_writer(move || writer.clone());
        let levels: LogLevels = levels.parse().unwrap();
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(levels.0));
        tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_what_it_is_about_beside_its_own_fields() {
        let lines = logged("info", || {
            let pass = tracing::error_span!(
                "pass",
                migration = "keys",
                namespace = "shop",
                phase = tracing::field::Empty,
                secret = 1
            );
            let _pass = pass.enter();
            pass.record("phase", "CleanUp");
            let _operation = tracing::error_span!("operation", operation = "001-add-index-\"a\"").entered();
            tracing::warn!(connection = 7, error = %"no\nanswer", "{} is gone", "it");
        });
        let line = &lines[0];
        assert_eq!(lines.len(), 1);
        for (name, value) in [
            ("level", Value::from("WARN")),
            ("target", Value::from(module_path!())),
            ("message", Value::from("it is gone")),
            ("namespace", Value::from("shop")),
            ("migration", Value::from("keys")),
            ("phase", Value::from("CleanUp")),
            ("operation", Value::from("001-add-index-\"a\"")),
            ("connection", Value::from(7)),
            ("error", Value::from("no\nanswer")),
        ] {
            assert_eq!(line[name], value, "{name} in {line}");
        }
        assert!(line.get("secret").is_none(), "only what is named is taken from surrounding work: {line}");
        assert!(line["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
    }

    #[test]
    fn each_module_has_its_level() {
        let count = |levels: &str| {
            let lines = logged(levels, || {
                tracing::debug!(target: "holdfast::mysql::ddl", "a");
                tracing::info!(target: "holdfast::controller", "b");
                tracing::warn!(target: "kube_client", "c");
            });
            lines.iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect::<String>()
        };
        assert_eq!(count("info"), "bc");
        assert_eq!(count("warn,holdfast::mysql=debug"), "ac");
        assert_eq!(count("info, kube_client=off"), "b");
        assert_eq!(count("off"), "");
    }

    #[test]
    fn a_level_that_is_none_is_refused_by_name() {
        for (text, part) in [
            ("debgu", "debgu"),
            ("info,kube=loud", "kube=loud"),
            ("info,", ""),
            ("3", "3"),
            ("=info", "=info"),
            ("kube=", "kube="),
        ] {
            let refused = text.parse::<LogLevels>().unwrap_err();
            assert!(refused.contains(&format!("{part:?} names no")), "{text}: {refused}");
        }
    }
}
