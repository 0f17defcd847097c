//! A SchemaMigration as YAML for a person to edit: each entry under comments that say where it comes from, and what is not certain as
//! comments that become entries when their first sign is removed.

use serde::Serialize;
use serde_yaml::Value;

use super::bars::wrapped;
use super::failure::Failure;
use crate::api::constraints::UniqueConstraint;
use crate::api::type_fixes::TypeFix;
use crate::api::{GROUP, VERSION};

/// Columns of a line of comments.
const WIDTH: usize = 118;

/// A manifest to edit.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// Comments at the top, a paragraph each.
    pub head: Vec<String>,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`, where one was named.
    pub namespace: Option<String>,
    /// Where the database is.
    pub database: Place,
    /// Type fixes.
    pub type_fixes: Vec<Entry<TypeFix>>,
    /// Unique constraints.
    pub uniques: Vec<Entry<UniqueConstraint>>,
    /// Stages; the keys in them are `keys`.
    pub stages: Vec<StageEntry>,
    /// Comments at the end, a paragraph each.
    pub foot: Vec<String>,
}

/// Where the database is, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Schema.
    pub schema: String,
    /// Image of a server of its version, for the dump.
    pub image: String,
}

/// An entry of a list.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// Comments before it, a paragraph each.
    pub notes: Vec<String>,
    /// Whether it stands as a comment itself.
    pub commented: bool,
    /// The entry.
    pub value: T,
}

/// A stage of keys.
#[derive(Debug, Clone)]
pub struct StageEntry {
    /// Its name.
    pub name: String,
    /// Its keys.
    pub keys: Vec<Entry<crate::api::constraints::ForeignKey>>,
}

impl Manifest {
    /// The text.
    ///
    /// # Errors
    /// When an entry has no YAML form, which is a defect.
    pub fn yaml(&self) -> Result<String, Failure> {
        let mut text = Text::default();
        text.notes(0, &self.head);
        text.line(0, &format!("apiVersion: {GROUP}/{VERSION}"));
        text.line(0, "kind: SchemaMigration");
        text.line(0, "metadata:");
        text.line(1, &format!("name: {}", scalar(&self.name)));
        if let Some(namespace) = &self.namespace {
            text.line(1, &format!("namespace: {}", scalar(namespace)));
        }
        text.line(0, "spec:");
        text.line(1, "mode: Plan      # reads only, up to the plan; Apply carries it out");
        text.line(1, "database:");
        text.line(2, &format!("host: {}      # edit: as the operator reaches it", scalar(&self.database.host)));
        text.line(2, &format!("port: {}", self.database.port));
        text.line(2, &format!("name: {}", scalar(&self.database.schema)));
        text.line(
            2,
            "credentialsSecretRef: {name: mysql-migrator}      # edit: a Secret with the keys username and password",
        );
        text.line(1, "backup:      # edit: where the copy goes that is made before anything changes");
        text.line(2, "type: Job");
        text.line(2, "job:");
        text.line(3, "tool: Mysqldump");
        text.line(3, &format!("image: {}", scalar(&self.database.image)));
        text.line(3, "destination: {type: PersistentVolumeClaim, persistentVolumeClaim: {claimName: backups}}");
        text.line(2, "verification: Inspect");
        text.line(1, "rehearsal: {enabled: false}");
        text.list("typeFixes", &self.type_fixes)?;
        text.list("uniqueConstraints", &self.uniques)?;
        text.stages(&self.stages)?;
        text.line(1, "gates:");
        text.line(1, "- before: {phase: CleanUp}      # nothing is changed before somebody has read the plan");
        text.line(2, "approval: Required");
        text.notes(0, &self.foot);
        Ok(text.0)
    }
}

/// The same as JSON, without comments.
///
/// # Errors
/// When the text is no YAML, which is a defect.
pub fn json(yaml: &str) -> Result<serde_json::Value, Failure> {
    serde_yaml::from_str(yaml).map_err(|error| defect(&error))
}

fn defect(error: &dyn std::fmt::Display) -> Failure {
    Failure::unavailable(format!("writing the manifest: {error}; this is a defect of the plugin: report it"))
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, depth: usize, text: &str) {
        self.0.push_str(&format!("{}{text}\n", "  ".repeat(depth)));
    }

    fn notes(&mut self, depth: usize, notes: &[String]) {
        self.prefixed_notes(&"  ".repeat(depth), notes);
    }

    fn prefixed_notes(&mut self, before: &str, notes: &[String]) {
        for note in notes {
            for line in wrapped(note, WIDTH - before.len()) {
                self.0.push_str(&format!("{before}# {line}\n"));
            }
        }
    }

    fn entry<T: Serialize>(&mut self, depth: usize, entry: &Entry<T>) -> Result<(), Failure> {
        let margin = "  ".repeat(depth);
        // The first sign is what a person removes.
        let before = if entry.commented { format!("{margin}# ") } else { margin };
        self.prefixed_notes(&before, &entry.notes);
        let mut value = serde_yaml::to_value(&entry.value).map_err(|error| defect(&error))?;
        // What says nothing but the default of a field that most entries do not use.
        if let Some(mapping) = value.as_mapping_mut()
            && mapping.get("backfill").is_none()
        {
            mapping.remove("verify");
        }
        let mut lines = Vec::new();
        block(&value, 0, &mut lines);
        for (number, line) in lines.iter().enumerate() {
            let lead = if number == 0 { "- " } else { "  " };
            self.0.push_str(format!("{before}{lead}{line}").trim_end());
            self.0.push('\n');
        }
        Ok(())
    }

    fn list<T: Serialize>(&mut self, name: &str, entries: &[Entry<T>]) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        // A list without entries would be null.
        let sign = if entries.iter().all(|entry| entry.commented) { "# " } else { "" };
        self.line(1, &format!("{sign}{name}:"));
        entries.iter().try_for_each(|entry| self.entry(1, entry))
    }

    fn stages(&mut self, stages: &[StageEntry]) -> Result<(), Failure> {
        if stages.is_empty() {
            return Ok(());
        }
        let empty = |stage: &StageEntry| stage.keys.iter().all(|entry| entry.commented);
        self.line(1, if stages.iter().all(empty) { "# stages:" } else { "stages:" });
        for stage in stages {
            let sign = if empty(stage) { "# " } else { "" };
            self.line(1, &format!("{sign}- name: {}", scalar(&stage.name)));
            self.line(1, &format!("{sign}  foreignKeys:"));
            stage.keys.iter().try_for_each(|entry| self.entry(2, entry))?;
        }
        Ok(())
    }
}

/// A mapping as lines; lists of scalars and small mappings in one line.
fn block(value: &Value, depth: usize, lines: &mut Vec<String>) {
    let Value::Mapping(mapping) = value else {
        lines.push(flow(value));
        return;
    };
    let margin = "  ".repeat(depth);
    for (key, value) in mapping {
        let key = flow(key);
        match value {
            Value::Mapping(inner) if inner.values().any(|value| value.as_str().is_some_and(is_long)) => {
                lines.push(format!("{margin}{key}:"));
                block(value, depth + 1, lines);
            }
            Value::String(text) => match literal(text) {
                Some((sign, body)) => {
                    lines.push(format!("{margin}{key}: {sign}"));
                    lines.extend(body.iter().map(|line| format!("{margin}  {line}")));
                }
                None => lines.push(format!("{margin}{key}: {}", scalar(text))),
            },
            other => lines.push(format!("{margin}{key}: {}", flow(other))),
        }
    }
}

/// Whether a text wants a line of its own.
fn is_long(text: &str) -> bool {
    text.contains('\n') || text.len() > 40
}

/// A text of several lines as they stand; `None` where YAML would read them otherwise.
fn literal(text: &str) -> Option<(&'static str, Vec<&str>)> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let lines: Vec<&str> = body.split('\n').collect();
    let odd = |line: &&str| {
        line.ends_with([' ', '\t'])
            || line.starts_with('\t')
            || line.chars().any(|each| each != '\t' && is_awkward(each))
    };
    let usable = text.contains('\n')
        && !lines[0].starts_with(' ')
        && !lines[0].is_empty()
        && !body.ends_with('\n')
        && !lines.iter().any(odd);
    usable.then_some((if text.ends_with('\n') { "|" } else { "|-" }, lines))
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Sequence(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Mapping(mapping) => {
            let pairs: Vec<String> =
                mapping.iter().map(|(key, value)| format!("{}: {}", flow(key), flow(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Tagged(_) => "null".to_owned(),
    }
}

/// A text as a scalar that is read as the same text wherever it stands.
fn scalar(text: &str) -> String {
    let plain = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | '/' | ' ' | '(' | ')')
    };
    let simple = text.chars().all(plain)
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && !text.ends_with(' ')
        && serde_yaml::from_str::<Value>(text).is_ok_and(|value| value == Value::String(text.to_owned()))
        // Words that other readers of YAML take for a truth value.
        && !matches!(text.to_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off");
    if simple {
        return text.to_owned();
    }
    let mut quoted = String::new();
    for character in serde_json::Value::from(text).to_string().chars() {
        if is_awkward(character) {
            quoted.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            quoted.push(character);
        }
    }
    quoted
}

/// Characters that YAML takes for a line's end, or refuses as they stand.
fn is_awkward(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn a_text_is_read_as_it_was_written(text in "\\PC{0,20}|[a-z:#\\-{}\\[\\],'\"| \n\t]{0,20}|on|null|1e3|0x1f|2026-01-01") {
            let mut lines = Vec::new();
            let mut inner = serde_yaml::Mapping::new();
            inner.insert(Value::from("up"), Value::from(text.clone()));
            let mut mapping = serde_yaml::Mapping::new();
            mapping.insert(Value::from("sql"), Value::Mapping(inner));
            mapping.insert(Value::from("names"), Value::Sequence(vec![Value::from(text.clone())]));
            let value = Value::Mapping(mapping);
            block(&value, 0, &mut lines);
            let read: Value = serde_yaml::from_str(&lines.join("\n")).unwrap();
            prop_assert_eq!(read, value, "{}", lines.join("\n"));
        }
    }
}
